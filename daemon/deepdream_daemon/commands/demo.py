"""``deepdream demo``: see it work, from nothing to a dream."""

from __future__ import annotations

from pathlib import Path

import click

from deepdream_daemon.commands.shared import PATH
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.terminal.messages import readable


@click.command()
@click.option("--dir", "directory", type=PATH, metavar="DIR", help="Where to make it; default: a new temporary folder.")
def demo(directory: Path | None) -> None:
    """Paint a sky, drop it into a watched folder, show its dream."""
    import tempfile

    from deepdream_daemon.oneshot.demo import run_demo
    from deepdream_daemon.terminal.progress import bars

    place = directory or Path(tempfile.mkdtemp(prefix="deepdream-demo-"))
    click.echo(f"Starting the daemon in {readable(place)}")
    result = run_demo(place, bars())
    click.echo(f"\nDream         {readable(result.dream)}")
    click.echo(f"Before/after  {readable(result.before_after)}")
    click.echo(f"Took          {result.seconds:.1f} s")
    click.echo("\nNow your own: start the daemon, then copy a photo into the input folder.")
    click.echo(f"  deepdream run --config {shell_path(result.config)}")
    click.echo(f"  cp PHOTO.jpg {shell_path(result.source.parent)}/")

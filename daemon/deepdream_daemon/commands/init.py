"""``deepdream init``: the commented configuration and the folders that it names."""

from __future__ import annotations

from pathlib import Path

import click

from deepdream_daemon.commands.shared import PATH
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.terminal.messages import readable


@click.command()
@click.argument("directory", type=PATH, default=".", metavar="[DIR]")
def init(directory: Path) -> None:
    """Write config.toml and its folders into DIR (here by default)."""
    from deepdream_daemon.configuration.config import write_template

    settings = write_template(directory)
    assert settings.path is not None  # it has just been written
    click.echo(f"Wrote {readable(settings.path)}")
    for folder in settings.folders:
        click.echo(f"Put pictures into {readable(folder.input)}; their dreams appear in {readable(folder.output)}.")
    here = settings.path.parent == Path.cwd()
    click.echo(f"Start it: deepdream run{'' if here else f' --config {shell_path(settings.path)}'}")

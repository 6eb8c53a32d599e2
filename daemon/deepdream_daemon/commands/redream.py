"""``deepdream redream``: make a dream again from what its file says, and compare the two."""

from __future__ import annotations

from pathlib import Path

import click

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path


@click.command()
@click.argument("dream", type=PATH, metavar="OUT")
@click.option("-i", "--input", "named", type=PATH, metavar="PHOTO", help="The source; found by itself where possible.")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="Where the new dream goes; default: beside OUT.")
@config_option
def redream(dream: Path, named: Path | None, output: Path | None, config: Path | None) -> None:
    """Make the dream OUT again and compare the two.

    Its recipe and seed are inside the file; the source picture is checked by its SHA-256.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.oneshot.once import Work, check_target, dream_all, read_work
    from deepdream_daemon.oneshot.redreaming import compare, find_source, read_original
    from deepdream_daemon.publishing.names import output_name
    from deepdream_daemon.publishing.publish import publish_unique

    assembly = assemble(config)
    settings = assembly.settings
    original = read_original(absolute(dream))
    directory = original.path.parent if output is None else absolute(output)
    check_target(directory, settings)
    recipe = assembly.book.from_dict(original.recipe)
    journal = Journal.open(settings.state, read_only=True)
    try:
        source = find_source(original, named, journal, settings)
    finally:
        journal.close()

    def read(photo: Path) -> Work:
        return read_work(photo, recipe, settings.max_megapixels, original.seed)

    (finished,) = dream_all([source], read, settings)
    if finished.dream is None:
        raise Exit(finished.error)
    directory.mkdir(parents=True, exist_ok=True)
    name = output_name(original.path.name, "redream", finished.dream.suffix)
    print_path(publish_unique(directory, name, finished.dream.data))
    click.echo(f"{original.path.name}: {compare(original, finished.dream.data, settings)}", err=True)

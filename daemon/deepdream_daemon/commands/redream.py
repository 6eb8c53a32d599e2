"""``deepdream redream``: make a dream again from what its file says, and compare the two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.rendering import Encoded


@click.command()
@click.argument("dream", type=PATH, metavar="OUT")
@click.option("-i", "--input", "named", type=PATH, metavar="PHOTO", help="The source; found by itself where possible.")
@click.option("--weights", type=PATH, metavar="FILE", help="The weights, if the recipe had a file of its own.")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="Where the new dream goes; default: beside OUT.")
@config_option
def redream(dream: Path, named: Path | None, weights: Path | None, output: Path | None, config: Path | None) -> None:
    """Make the dream OUT again and compare the two.

    OUT is a picture or a film. Its recipe and seed are inside the file; the source picture, and what lay beside it as
    a guide or mask, are checked by their SHA-256.
    """
    from deepdream_daemon.commands.filming import made_alone
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.oneshot.clips import is_clip
    from deepdream_daemon.oneshot.dreaming import dream_all
    from deepdream_daemon.oneshot.once import Work, read_work
    from deepdream_daemon.oneshot.pieces import Photo
    from deepdream_daemon.oneshot.redreaming import (
        compare,
        find_companions,
        find_source,
        read_original,
        recipe_of,
        settings_of,
    )
    from deepdream_daemon.oneshot.target import prepare_target, put
    from deepdream_daemon.publishing.names import output_name

    assembly = assemble(config)
    settings = assembly.settings
    path = absolute(dream)
    is_film = is_clip(path)
    if is_film:
        from deepdream_daemon.oneshot.films import Film, Spools
        from deepdream_daemon.oneshot.redreaming_films import compare_films, read_original_film

        original = read_original_film(path)
    else:
        original = read_original(path)
    directory = original.path.parent if output is None else absolute(output)
    recipe = assembly.book.from_dict(recipe_of(original, weights, settings))
    journal = Journal.open(settings.state, read_only=True)
    try:
        source = find_source(original, named, journal, settings)
    finally:
        journal.close()

    places = find_companions(original, source)

    def read(photo: Path, keep: bool) -> Work:
        most = settings.pictures.max_megapixels
        return read_work(photo, recipe, most, seed=original.seed, places=places, keep=keep)

    def deliver(_: Work, dream: Encoded) -> Path:
        return put(directory, output_name(original.path.name, "redream", dream.suffix), dream.data)

    prepare_target(directory, settings)
    if is_film:
        target = directory / output_name(path.name, "redream", path.suffix)
        film = Film(source, read, lambda *_: target, Spools(settings), name=target.name)
        with assembly.placing_device():
            again = made_alone(film, settings_of(original, settings), assembly.catalogue.host)
        print_path(again)
        click.echo(f"{path.name}: {compare_films(original, again)}", err=True)
        return
    with assembly.placing_device():
        (finished,) = dream_all(
            [Photo(source, read, deliver)], settings_of(original, settings), assembly.catalogue.host
        )
    if finished.output is None:
        raise Exit(finished.error)
    print_path(finished.output)
    click.echo(f"{original.path.name}: {compare(original, finished.output.read_bytes(), settings)}", err=True)

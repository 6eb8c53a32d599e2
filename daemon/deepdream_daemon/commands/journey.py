"""``deepdream journey``: a photo becomes a film, in this process."""

from __future__ import annotations

import time
from pathlib import Path

import click

from deepdream_daemon.commands.group import Exit, Terminated, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path
from deepdream_engine.errors import DeepDreamError

SETTLE_SECONDS = 5.0
"""How long plugins that listen are waited for at the end."""


@click.command()
@click.argument("photo", type=PATH, metavar="PHOTO")
@click.option(
    "-o", "--output", type=PATH, metavar="FILE", help="The film, such as film.mp4; default: beside the photo."
)
@click.option("-r", "--recipe", metavar="NAME", help="One that has a journey.  [default: article]")
@click.option(
    "-s",
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, such as journey.frames=30 or film.quality=90. May be repeated.",
)
@click.option("--contact-sheet", "sheet", type=PATH, metavar="FILE", help="Also show frames of the film in a picture.")
@config_option
def journey(
    *,
    photo: Path,
    output: Path | None,
    recipe: str | None,
    changes: tuple[str, ...],
    sheet: Path | None,
    config: Path | None,
) -> None:
    """Dream a film from PHOTO, and print where it is.

    The same command goes on with a film that was stopped.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.oneshot.assembly_line import Finished
    from deepdream_daemon.oneshot.contact_sheet import put_sheet, sheet_format
    from deepdream_daemon.oneshot.film_target import film_target
    from deepdream_daemon.oneshot.journeying import companion_places, film_options, journey_of, make_film
    from deepdream_daemon.oneshot.once import check_changes, choose, look_at, read_work
    from deepdream_daemon.oneshot.target import prepare_target
    from deepdream_daemon.oneshot.telling import event_of
    from deepdream_daemon.terminal.progress import bars

    assembly = assemble(config)
    settings, host = assembly.settings, assembly.catalogue.host
    source, named = absolute(photo), recipe or "article"
    check_changes(assembly.book, [source], named, changes)
    look_at(source)
    chosen = choose(assembly.book, source, named, changes)
    journey_of(chosen)
    target = film_target(source, chosen.name, film_options(chosen), None if output is None else absolute(output))
    prepare_target(target.parent, settings)
    if sheet is not None:
        sheet = absolute(sheet)
        sheet_format(sheet)
        prepare_target(sheet.parent, settings)
    work = read_work(source, chosen, settings.pictures.max_megapixels, places=companion_places(source, chosen))
    begun = time.monotonic()
    with assembly.placing_device(), bars() as shown:
        try:
            film = make_film(work, target, settings, host, shown)
        except (KeyboardInterrupt, Terminated):
            complain("what is finished of the film is kept: the same command goes on with it")
            raise
        except DeepDreamError as error:
            host.tell(event_of(Finished(photo=source, error=str(error), recipe=chosen.name)))
            raise
    seconds = time.monotonic() - begun
    host.tell(event_of(Finished(photo=source, output=film.path, recipe=chosen.name, seconds=seconds)))
    for note in film.notes:
        click.echo(f"note: {note}", err=True)
    if film.resumed_at:
        click.echo(f"went on from frame {film.resumed_at + 1} of {film.frames}", err=True)
    print_path(film.path)
    if sheet is not None:
        try:
            print_path(put_sheet(film.path, sheet))
        except OSError as error:
            raise Exit(f"the film is made, but no contact sheet: {error}") from error
    host.settle(SETTLE_SECONDS)

"""``deepdream journey``: a photo becomes a film, in this process."""

from __future__ import annotations

from pathlib import Path

import click

from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path

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
    from deepdream_daemon.commands.filming import made_alone, prepare_sheet, print_sheet
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.films.journeying import journey_of
    from deepdream_daemon.films.scenes import film_options
    from deepdream_daemon.intake.companions import locate
    from deepdream_daemon.intake.selection import companions_of
    from deepdream_daemon.oneshot.film_target import film_target
    from deepdream_daemon.oneshot.films import Film, Spools
    from deepdream_daemon.oneshot.once import Work, check_changes, choose, look_at, read_work
    from deepdream_daemon.oneshot.target import prepare_target

    assembly = assemble(config)
    settings, host = assembly.settings, assembly.catalogue.host
    source, named = absolute(photo), recipe or "article"
    check_changes(assembly.book, [source], named, changes)
    look_at(source)
    chosen = choose(assembly.book, source, named, changes)
    journey_of(chosen)
    options = film_options(chosen)
    target = film_target(source, chosen.name, options, None if output is None else absolute(output))
    prepare_target(target.parent, settings)
    sheet = prepare_sheet(sheet, settings)
    places = locate(source, companions_of(chosen), chosen.name)

    def read(photo: Path, keep: bool) -> Work:
        return read_work(photo, chosen, settings.pictures.max_megapixels, places=places, keep=keep)

    film = Film(source, read, lambda *_: target, Spools(settings), name=target.name, clip=False)
    with assembly.placing_device():
        path = made_alone(film, settings, host)
    print_path(path)
    print_sheet(path, sheet)
    host.settle(SETTLE_SECONDS)

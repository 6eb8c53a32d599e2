"""``deepdream dream``: photos and clips named on the command line, dreamt once, as the daemon would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import FAILED, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path
from deepdream_daemon.terminal.messages import message_of, readable
from deepdream_engine.errors import BadOption, DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.oneshot.pieces import Finished
    from deepdream_daemon.pipeline.rendering import Encoded

SETTLE_SECONDS = 5.0
"""How long plugins that listen are waited for at the end."""


@click.command()
@click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="DIR",
    help="Where the dreams go; default: beside each photo. Of a single clip also its name, such as dream.mp4.",
)
@click.option("-r", "--recipe", metavar="NAME", help="One of: deepdream recipes.  [default: classic]")
@click.option(
    "-s",
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, such as octaves=6, objective.layer=mixed4b or video.carry=0.8. May be repeated.",
)
@click.option(
    "--pick",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Dream at the layer of this number on the sheet that the recipe makes, by default: atlas.",
)
@click.option(
    "--contact-sheet", "sheet", type=PATH, metavar="FILE", help="Of one film: also show its frames in a picture."
)
@config_option
@click.pass_context
def dream(
    ctx: click.Context,
    *,
    photos: tuple[Path, ...],
    output: Path | None,
    recipe: str | None,
    changes: tuple[str, ...],
    pick: int | None,
    sheet: Path | None,
    config: Path | None,
) -> None:
    """Dream PHOTO... once, and print where each dream is.

    Clips (MP4, MOV, MKV, WebM, AVI) and animations (GIF, WebP, APNG) become films with their sound; the same command
    goes on with those that were stopped. With --set output.steps=film a photo becomes a film of its ascent, a frame for
    each step.
    """
    from deepdream_daemon.commands.filming import kept_when_stopped, prepare_sheet
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.oneshot.clips import is_clip
    from deepdream_daemon.oneshot.dreaming import dream_all
    from deepdream_daemon.oneshot.film_target import FILM_SUFFIXES, film_target
    from deepdream_daemon.oneshot.films import Film, Spools
    from deepdream_daemon.oneshot.once import Work, check_changes, choose, is_filmed, look_at, read_work
    from deepdream_daemon.oneshot.pieces import Photo, Piece
    from deepdream_daemon.oneshot.target import prepare_target, put
    from deepdream_daemon.oneshot.telling import event_of
    from deepdream_daemon.publishing.names import output_name

    if pick is not None:
        recipe, changes = recipe or "atlas", (*changes, f"atlas.pick={pick}")
    assembly = assemble(config)
    sources = [absolute(photo) for photo in photos]
    check_changes(assembly.book, sources, recipe, changes)  # a mistake here is no photo's fault
    clips = [source for source in sources if is_clip(source) or is_filmed(assembly.book, source, recipe, changes)]
    stills = [source for source in sources if source not in clips]
    sheet = prepare_sheet(sheet, assembly.settings, is_for_one_film=len(sources) == len(clips) == 1)
    name = "film"
    if output is not None:
        output = absolute(output)
        is_name = len(sources) == len(clips) == 1 and output.suffix.lower() in FILM_SUFFIXES and not output.is_dir()
        name = output.name if is_name else name
        prepare_target(output.parent if is_name else output, assembly.settings)

    def read(photo: Path, keep: bool) -> Work:
        look_at(photo)
        if output is None:
            prepare_target(photo.parent, assembly.settings)
        chosen = choose(assembly.book, photo, recipe, changes)
        return read_work(photo, chosen, assembly.settings.pictures.max_megapixels, keep=keep)

    def target(work: Work, film: Any) -> Path:
        return film_target(work.photo, work.recipe.name, film.options, output, film.facts)

    def deliver(work: Work, dream: Encoded) -> Path:
        name = output_name(work.photo.name, work.recipe.name, dream.suffix)
        return put(output or work.photo.parent, name, dream.data)

    spools = Spools(assembly.settings)
    films = [Film(clip, read, target, spools, name=name) for clip in clips]
    failed, host = False, assembly.catalogue.host
    with assembly.placing_device(), kept_when_stopped(films):
        pieces: list[Piece] = [*(Photo(still, read, deliver) for still in stills), *films]
        for finished in dream_all(pieces, assembly.settings, host):
            host.tell(event_of(finished))
            if isinstance(finished.cause, BadOption) and len(sources) == len(films) == 1:
                raise finished.cause
            failed = not _printed(finished, sheet) or failed
    host.settle(SETTLE_SECONDS)
    if failed:
        ctx.exit(FAILED)


def _printed(finished: Finished, sheet: Path | None) -> bool:
    """Print where a dream is, or complain; return whether there is all that was asked for."""
    from deepdream_daemon.commands.filming import output_of, print_sheet

    if finished.output is None:
        complain(finished.error)
        return False
    print_path(output_of(finished))
    try:
        print_sheet(finished.output, sheet)
    except (DeepDreamError, OSError) as error:
        complain(f"{readable(finished.photo)}: {message_of(error)}")
        return False
    return True

"""``deepdream dream``: photos named on the command line, dreamt once, as the daemon would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import FAILED, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.rendering import Encoded


SETTLE_SECONDS = 5.0
"""How long plugins that listen are waited for at the end."""


@click.command()
@click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO...")
@click.option("-o", "--output", type=PATH, metavar="DIR", help="Where the dreams go; default: beside each photo.")
@click.option("-r", "--recipe", metavar="NAME", help="One of: deepdream recipes.  [default: classic]")
@click.option(
    "-s",
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, such as octaves=6 or objective.layer=mixed4b. May be repeated.",
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
    config: Path | None,
) -> None:
    """Dream PHOTO... once, and print where each dream is."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.oneshot.assembly_line import dream_all
    from deepdream_daemon.oneshot.once import Work, check_changes, choose, look_at, read_work
    from deepdream_daemon.oneshot.target import prepare_target, put
    from deepdream_daemon.oneshot.telling import event_of
    from deepdream_daemon.publishing.names import output_name

    assembly = assemble(config)
    sources = [absolute(photo) for photo in photos]
    check_changes(assembly.book, sources, recipe, changes)  # a mistake here is no photo's fault
    if output is not None:
        output = absolute(output)
        prepare_target(output, assembly.settings)

    def read(photo: Path) -> Work:
        look_at(photo)
        if output is None:
            prepare_target(photo.parent, assembly.settings)
        chosen = choose(assembly.book, photo, recipe, changes)
        return read_work(photo, chosen, assembly.settings.pictures.max_megapixels)

    def deliver(work: Work, dream: Encoded) -> Path:
        name = output_name(work.photo.name, work.recipe.name, dream.suffix)
        return put(output or work.photo.parent, name, dream.data)

    failed, host = False, assembly.catalogue.host
    with assembly.placing_device():
        for finished in dream_all(sources, read, deliver, assembly.settings, host):
            host.tell(event_of(finished))
            if finished.output is None:
                complain(finished.error)
                failed = True
            else:
                print_path(finished.output)
    host.settle(SETTLE_SECONDS)
    if failed:
        ctx.exit(FAILED)

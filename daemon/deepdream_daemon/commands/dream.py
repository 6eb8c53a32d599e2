"""``deepdream dream``: photos named on the command line, dreamt once, as the daemon would."""

from __future__ import annotations

from pathlib import Path

import click

from deepdream_daemon.commands.group import FAILED, Exit, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_path
from deepdream_daemon.terminal.messages import message_of


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
    from deepdream_daemon.oneshot.once import Finished, Work, check_target, choose, dream_all, read_work, settings_of
    from deepdream_daemon.publishing.names import output_name
    from deepdream_daemon.publishing.publish import publish_unique

    assembly = assemble(config)
    assembly.book.resolve(recipe or "classic", settings_of(changes))  # a mistake here is no photo's fault
    if output is not None:
        output = absolute(output)
        output.mkdir(parents=True, exist_ok=True)

    def read(photo: Path) -> Work:
        check_target(output or photo.parent, assembly.settings)
        chosen = choose(assembly.book, photo, recipe, changes)
        return read_work(photo, chosen, assembly.settings.max_megapixels)

    def publish(finished: Finished) -> Path:
        if finished.dream is None or finished.work is None:
            raise Exit(finished.error)
        name = output_name(finished.photo.name, finished.work.recipe.name, finished.dream.suffix)
        return publish_unique(output or finished.photo.parent, name, finished.dream.data)

    failed = False
    for finished in dream_all([absolute(photo) for photo in photos], read, assembly.settings):
        try:
            path = publish(finished)
        except (Exit, OSError) as error:
            complain(message_of(error))
            failed = True
        else:
            print_path(path)
    if failed:
        ctx.exit(FAILED)

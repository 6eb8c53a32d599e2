"""What the commands that make films share: what is said, and told, of one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import Exit, Terminated, complain
from deepdream_daemon.commands.shared import absolute, print_path
from deepdream_engine.errors import BadOption, DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.oneshot.shooting import Film
    from deepdream_plugins.hosting.host import PluginHost


def prepare_sheet(sheet: Path | None, settings: Settings, *, is_for_one_film: bool = True) -> Path | None:
    """Return where a contact sheet goes, having looked whether there is something for it and it can be put there."""
    from deepdream_daemon.oneshot.contact_sheet import sheet_format
    from deepdream_daemon.oneshot.target import prepare_target

    if sheet is not None:
        if not is_for_one_film:
            raise BadOption(f"--contact-sheet {str(sheet)!r} shows the frames of one film: name one clip alone.")
        sheet = absolute(sheet)
        sheet_format(sheet)
        prepare_target(sheet.parent, settings)
    return sheet


def print_sheet(film: Path, sheet: Path | None) -> None:
    """Make the contact sheet of a film, if one is asked for, and print where it is."""
    from deepdream_daemon.oneshot.contact_sheet import put_sheet

    if sheet is not None:
        try:
            print_path(put_sheet(film, sheet))
        except OSError as error:
            raise Exit(f"the film is made, but no contact sheet: {error}") from error


def film_told_of(source: Path, recipe: str, host: PluginHost, make: Callable[[], Film]) -> Film:
    """Return the film that ``make`` makes of ``source``; say what there is to say of it, and tell the plugins."""
    from deepdream_daemon.oneshot.assembly_line import Finished
    from deepdream_daemon.oneshot.telling import event_of

    begun = time.monotonic()
    try:
        film = make()
    except (KeyboardInterrupt, Terminated):
        complain("what is finished of the film is kept: the same command goes on with it")
        raise
    except DeepDreamError as error:
        host.tell(event_of(Finished(photo=source, error=str(error), recipe=recipe)))
        raise
    seconds = time.monotonic() - begun
    host.tell(event_of(Finished(photo=source, output=film.path, recipe=recipe, seconds=seconds)))
    for note in film.notes:
        click.echo(f"note: {note}", err=True)
    if film.resumed_at:
        click.echo(f"went on from frame {film.resumed_at + 1} of {film.frames}", err=True)
    click.echo(f"{film.rate:.3g} frames a second; the device was busy {film.busy_share:.0%} of the time", err=True)
    return film

"""What the commands that make films share: what is said, and told, of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import Exit, Terminated, complain
from deepdream_daemon.commands.shared import absolute, print_path
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.oneshot.films import Film
    from deepdream_daemon.oneshot.pieces import FilmFacts, Finished
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


@contextmanager
def kept_when_stopped(films: Sequence[Film]) -> Iterator[None]:
    """If it is stopped meanwhile, say that what is dreamt of films is not lost."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        if kept := sum(film.frames_kept > 0 for film in films):
            what, which = ("the film", "it") if kept == 1 else (f"{kept} films", "them")
            complain(f"what is finished of {what} is kept: the same command goes on with {which}")
        raise


def made_alone(film: Film, settings: Settings, host: PluginHost) -> Path:
    """Make one film, tell the plugins, and say what there is to say of it; return where it is."""
    from deepdream_daemon.oneshot.dreaming import dream_all
    from deepdream_daemon.oneshot.telling import event_of

    with kept_when_stopped([film]):
        (finished,) = dream_all([film], settings, host)
    host.tell(event_of(finished))
    return output_of(finished)


def output_of(finished: Finished) -> Path:
    """Return where a dream is, and of a film, say what there is to say; raises why there is none."""
    if finished.cause is not None:
        raise finished.cause
    assert finished.output is not None  # or else there is a cause
    if finished.film is not None:
        _say(finished.film)
    return finished.output


def _say(film: FilmFacts) -> None:
    for note in film.notes:
        click.echo(f"note: {note}", err=True)
    if film.resumed_at:
        click.echo(f"went on from frame {film.resumed_at + 1} of {film.frames}", err=True)
    click.echo(f"{film.rate:.3g} frames a second; the device was busy {film.busy_share:.0%} of the time", err=True)

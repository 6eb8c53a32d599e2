"""The state folder is the user's alone: the journal and the quarantine tell the name and the fate of every picture."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import structlog

from deepdream_daemon.explaining.advice import shell_path
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")

MODE = 0o700
_OTHERS = 0o077
_OURS = ("journal.sqlite3", "daemon.lock", "daemon.log", "live.", ".live.", "quarantine", "sinks", "films")
"""What a state folder holds, at the beginning of its names."""


def make_private(state: Path) -> None:
    """Make the folder ``state``, or take from others what they may do with it.

    A folder that holds other things than ours was not meant to be closed to others: it is refused, as one is that
    belongs to somebody else. Raises :class:`BadOption`, or an ``OSError`` if it cannot be made.
    """
    state.mkdir(mode=MODE, parents=True, exist_ok=True)
    number = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a link is followed: the user has named it
    try:
        status = os.fstat(number)
        others = stat.S_IMODE(status.st_mode) & _OTHERS
        if not others:
            return
        names = os.listdir(number)  # noqa: PTH208  (of the folder that is open)
        foreign = sorted(name for name in names if not name.startswith(_OURS))
        if foreign:
            raise _refused(state, f"others may enter it, and it holds other things than ours ({foreign[0]!r} …)")
        try:
            os.fchmod(number, MODE)
        except PermissionError as error:
            raise _refused(state, "others may enter it, and it belongs to somebody else") from error
        if stat.S_IMODE(os.fstat(number).st_mode) & _OTHERS:
            raise _refused(state, "others may enter it, and its disk knows no permissions")
    finally:
        os.close(number)
    log.warning("the state folder was open to others, it is closed to them now", folder=str(state), was=f"{others:03o}")


def _refused(state: Path, reason: str) -> BadOption:
    return BadOption(
        f"The state folder {os.fspath(state)!r} is not private: {reason}. Name a folder of its own in [daemon] state, "
        f"or close this one to others: chmod 700 {shell_path(state)}"
    )

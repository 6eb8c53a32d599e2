"""The trash of the user whom the daemon runs as: that of the home, or of the disk that a file is on.

Nothing is lost where there is none, or none can be made: the file stays, and is tried again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

Trash = Callable[[Path], None]


class NoTrash(OSError):
    """The trash does not take a file. It says why, and what to do."""

    def __init__(self, why: str, number: int | None = None) -> None:
        super().__init__(number or errno.EIO, why)


def put_into_trash(path: Path) -> None:
    """Put a file into the trash; :class:`NoTrash` when that does not work."""
    from send2trash import send2trash  # type: ignore[import-untyped]

    try:
        send2trash(os.fspath(path))
    except OSError as error:
        if not os.path.lexists(path):
            raise  # somebody else has removed it
        raise NoTrash(_told(error, path), error.errno) from error
    if os.path.lexists(path):
        raise NoTrash('the trash did not take it, and did not say why: choose source = "move" for its folder')


def _told(error: OSError, path: Path) -> str:
    place = None if error.filename is None else os.fsdecode(error.filename)
    if place in {None, os.fspath(path)} and not os.access(path, os.W_OK):
        return 'the trash takes no file that the daemon\'s user may not write to: chmod it, or choose source = "move"'
    reason = error.strerror or str(error)
    if place is None:
        return f'the trash does not take it ({reason}): choose source = "move" for its folder'
    remedy = 'make that a folder that the daemon\'s user may write to, or choose source = "move"'
    return f"the trash does not take it ({reason}: {place!r}): {remedy}"

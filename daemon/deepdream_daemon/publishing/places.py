"""The same place: an output folder is the directory that it was when something was published there, and not what lies
beneath it while its disk is not mounted.

Only what is noted in the journal counts, so that it holds over restarts. Another directory is taken for the former one
if something of that lies in it, since a folder may be restored or brought to another disk, and some network file
systems number their directories anew; but never one that has lost its disk, as something may lie beneath as well.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.places import PlaceSide


class OtherPlace(OSError):
    """Something else is where a folder was that is written to; ``advice`` says how to go on."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(errno.ESTALE, why, os.fspath(path))
        self.advice = (
            "Mount its disk, or put the former folder back; it goes on by itself. To use what is there instead: "
            f"deepdream forget {shell_path(path)}"
        )

    def __str__(self) -> str:
        return f"{self.strerror}: {self.filename!r}. {self.advice}"


def check_place(journal: PlaceSide, path: Path, *, used: bool = False) -> None:
    """Raise an ``OSError`` if the folder at ``path`` is not there, or is another one than what was used before.

    ``used`` says that it is used now. A disk is noted as soon as it is seen, any other folder when it is used: an empty
    one may be the place of a disk that is mounted later.
    """
    now, known = look_at_place(journal, path), journal.place(path)
    if now != known and (used or now.is_mount or known is not None):
        journal.note_place(path, now)


def look_at_place(journal: PlaceSide, path: Path) -> Root:
    """Return which folder is at ``path``, and raise the same, noting nothing."""
    try:
        now, known = replace(Root.look(path), device=0), journal.place(path)
    except NotADirectoryError as error:
        raise OtherPlace(path, "it is no folder any more") from error
    if known is not None and not now.resembles(known):
        if known.is_mount and not now.is_mount:
            raise OtherPlace(path, "the disk that was mounted there is not mounted")
        files = journal.put_into(path)
        if files and not any(map(os.path.lexists, files)):
            raise OtherPlace(path, "it is another folder than before, and nothing that was put into that one is in it")
    return now

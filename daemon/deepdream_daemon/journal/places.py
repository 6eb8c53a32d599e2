"""The journal's side of places: which directories dreams were published into and sources moved to, so that another one
under the same path is noticed, also by the daemon that is started next.
"""

from __future__ import annotations

import os
from pathlib import Path

from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.notes import NoteSide

_PLACES = "targets"
_LATEST = 1000
"""So many of the latest results are looked through for those of one directory."""


class PlaceSide(NoteSide):
    """Operations on output folders and folders for processed sources, by their paths."""

    def place(self, path: Path) -> Root | None:
        """Return which directory there was at ``path`` when it was used last; devices are not kept, as their numbers
        change."""
        found = (self._get(_PLACES) or {}).get(str(path))
        return None if found is None else Root(device=0, inode=found[0], is_mount=found[1])

    def note_place(self, path: Path, root: Root) -> None:
        """Remember which directory it is."""
        with self._lock:
            self._set(_PLACES, (self._get(_PLACES) or {}) | {str(path): [root.inode, root.is_mount]})

    def forget_place(self, path: Path) -> bool:
        """From now on whichever directory is at ``path`` is the right one. False if none was remembered."""
        with self._lock:
            places = self._get(_PLACES) or {}
            if places.pop(str(path), None) is None:
                return False
            self._set(_PLACES, places or None)
            return True

    def put_into(self, path: Path, most: int = 20) -> list[Path]:
        """Return some of the files that were published in or moved to the directory at ``path``, the latest if that is
        known."""
        name = os.fsencode(path)
        below = name + b"/", name + b"0"  # "0" is what follows "/"
        for latest in (
            "SELECT target FROM jobs WHERE state IN ('done', 'failed', 'vanished') AND state = 'done'"
            " ORDER BY updated DESC LIMIT ?",
            "SELECT CASE WHEN state = 'done' THEN target END AS target FROM disposals ORDER BY job DESC LIMIT ?",
        ):
            sql = f"SELECT target FROM ({latest}) WHERE target > ? AND target < ? LIMIT ?"
            if rows := self._rows(sql, _LATEST, *below, most):
                return [Path(os.fsdecode(row["target"])) for row in rows]
        rows = self._rows("SELECT path FROM outputs WHERE path > ? AND path < ? LIMIT ?", *below, most)
        return [Path(os.fsdecode(row["path"])) for row in rows]

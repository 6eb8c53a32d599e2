"""The journal's side of places: which directories the folders are that are watched, published into and moved to, so
that another one under the same path is noticed, also by the daemon that is started next.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.notes import NoteSide

_PLACES, _FOLDERS = "targets", "places"
_LATEST = 1000
"""So many of the latest results are looked through for those of one directory."""


class PlaceSide(NoteSide):
    """Operations on folders by their paths."""

    def place(self, path: Path) -> Root | None:
        """Return which directory there was at ``path`` when it was used last; devices are not kept, as their numbers
        change."""
        found = (self._get(_PLACES) or {}).get(str(path))
        return None if found is None else Root(device=0, inode=found[0], is_mount=found[1])

    def note_place(self, path: Path, root: Root) -> None:
        """Remember which directory it is."""
        with self._lock:
            self._set(_PLACES, (self._get(_PLACES) or {}) | {str(path): [root.inode, root.is_mount]})

    def known_places(self) -> set[Path]:
        """Return the folders that were worked with, each of which was there at some time."""
        return {Path(path) for path in self._get(_PLACES) or {}} | set(self.noted_places())

    def forget_place(self, path: Path) -> bool:
        """From now on whichever directory is at ``path`` is the right one; of an input, from the next start. False if
        none was remembered."""
        with self._lock:
            places = self._get(_PLACES) or {}
            is_known = places.pop(str(path), None) is not None
            if is_known:
                self._set(_PLACES, places or None)
            inputs = self.noted_places()
            is_known |= inputs.pop(path, None) is not None
            self.note_places(inputs)
            return is_known

    def note_places(self, places: Mapping[Path, Root]) -> None:
        """Remember which directories the watched folders and the outputs are that there were files in."""
        if places != self.noted_places():
            self._set(_FOLDERS, [[str(path), root.inode, root.is_mount] for path, root in places.items()])

    def noted_places(self) -> dict[Path, Root]:
        """Return what was noted last; the numbers of devices are not kept, as they change."""
        rows = self._get(_FOLDERS) or []
        return {Path(path): Root(device=0, inode=inode, is_mount=is_mount) for path, inode, is_mount in rows}

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

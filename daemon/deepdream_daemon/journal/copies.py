"""The journal's copying side: copies of files that are no pictures, and what keeps more from being made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.notes import NoteSide

_PAUSES = "copy_pauses"


@dataclass(frozen=True, kw_only=True)
class CopyPause:
    """Why nothing is copied from a watched folder at the moment, and what to do about it."""

    reason: str
    advice: str


class CopySide(NoteSide):
    """Operations of whoever copies, and the questions that people ask about it."""

    def is_anything_to_copy(self, folder: Path) -> bool:
        """Tell whether a file of the watched folder is queued to be copied, whether it is due or not."""
        sql = (
            f"SELECT 1 FROM jobs INDEXED BY jobs_to_copy WHERE state = 'queued' AND recipe = '{COPIED}' AND folder = ?"
        )
        return bool(self._rows(f"{sql} LIMIT 1", os.fsencode(folder)))

    def copies_of(self, source: Path) -> list[tuple[str, Path]]:
        """Return the copies of the file at ``source`` that were published, each with its SHA-256."""
        rows = self._rows(
            "SELECT output_sha256, target FROM jobs WHERE source = ? AND recipe = ? AND state = 'done' ORDER BY id",
            *(os.fsencode(source), COPIED),
        )
        return [(sha256, Path(os.fsdecode(target))) for sha256, target in rows if target is not None]

    def note_copy_pauses(self, pauses: Mapping[Path, CopyPause]) -> None:
        """Note from which watched folders nothing is copied at the moment; the running daemon keeps it true."""
        if pauses != self.copy_pauses():
            self._set(_PAUSES, [[str(path), each.reason, each.advice] for path, each in pauses.items()] or None)

    def copy_pauses(self) -> dict[Path, CopyPause]:
        """Return what was noted last."""
        rows = self._get(_PAUSES) or []
        return {Path(path): CopyPause(reason=reason, advice=advice) for path, reason, advice in rows}

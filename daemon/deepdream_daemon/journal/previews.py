"""The journal's side of previews: which file a job has shown before its dream, so that this alone is replaced by it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.store import JournalStore


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a job has published as ``target`` before its dream; it is noted before it ``is_visible``."""

    job: int
    target: Path
    sha256: str
    is_visible: bool


class PreviewSide(JournalStore):
    """Operations of whoever publishes previews, replaces them by dreams, and takes them away."""

    def announce_preview(self, job: int, target: Path, sha256: str) -> bool:
        """Note what is about to become visible; False if the job is not running any more. From now on a file of this
        content is known as ours, wherever it is met."""
        with self._transaction() as connection:
            row = connection.execute("SELECT source FROM jobs WHERE id = ? AND state = 'running'", (job,)).fetchone()
            if row is None:
                return False
            path = os.fsencode(target)
            connection.execute("DELETE FROM outputs WHERE job = ? AND sha256 = ?", (job, sha256))
            connection.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)", (sha256, path, job))
            values = (job, path, sha256, time.time())
            connection.execute("INSERT OR REPLACE INTO previews VALUES (?, ?, ?, 0, ?)", values)
            return True

    def preview_is_visible(self, preview: Preview) -> None:
        """It is there, durably."""
        with self._transaction() as connection:
            connection.execute("UPDATE previews SET visible = 1 WHERE job = ?", (preview.job,))
            row = connection.execute("SELECT source FROM jobs WHERE id = ?", (preview.job,)).fetchone()
            if row is not None:
                self._note(connection, row["source"], preview.job, f"a preview is published: {str(preview.target)!r}")

    def preview(self, job: int) -> Preview | None:
        """Return what the job has shown, or was about to show."""
        rows = self._rows("SELECT * FROM previews WHERE job = ?", job)
        return _preview(rows[0]) if rows else None

    def stale_previews(self) -> Sequence[Preview]:
        """Return the previews of jobs that have ended, or were forgotten, without having replaced them."""
        sql = (
            "SELECT previews.* FROM previews LEFT JOIN jobs ON jobs.id = previews.job"
            " WHERE jobs.id IS NULL OR jobs.state IN ('done', 'failed', 'vanished')"
        )
        return [_preview(row) for row in self._rows(sql)]

    def forget_preview(self, preview: Preview) -> None:
        """It is replaced, or gone, or somebody else's by now; unless it has become visible since."""
        with self._transaction() as connection:
            values = (preview.job, preview.is_visible)
            connection.execute("DELETE FROM previews WHERE job = ? AND visible = ?", values)


def _preview(row: sqlite3.Row) -> Preview:
    return Preview(
        job=row["job"],
        target=Path(os.fsdecode(row["target"])),
        sha256=row["sha256"],
        is_visible=bool(row["visible"]),
    )

"""The journal's hold side: which output folders cannot be written to at the moment, so that another process can tell.

A hold keeps the jobs of one output directory from being claimed; one on the output folder itself, those of the
whole watched folder.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.store import JournalStore


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why nothing is published in ``directory`` for the watched folder ``folder``, and since when (unix time)."""

    folder: Path
    directory: Path
    error: str
    advice: str
    since: float


class HoldSide(JournalStore):
    """Operations on output folders that make trouble."""

    def hold(self, folder: Path, directory: Path, error: str, advice: str) -> None:
        """Note that nothing can be published in ``directory`` for ``folder``."""
        row = (os.fsencode(folder), os.fsencode(directory), error, advice, time.time())
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO holds VALUES (?, ?, ?, ?, ?)", row)

    def set_aside(self, directory: Path, *, due: float, error: str, advice: str) -> None:
        """Claim none of the queued pictures that lie in the input directory ``directory`` before ``due``.

        Those that were put off for another reason keep it, and their time, until that has come.
        """
        name = os.fsencode(directory)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs INDEXED BY jobs_by_source SET due = ?, error = ?, advice = ?"
                " WHERE source > ? AND source < ? AND instr(substr(source, ?), X'2F') = 0"
                " AND state = 'queued' AND due <= ?",
                (due, error, advice, name + b"/", name + b"0", len(name) + 2, time.time()),  # "0" is what follows "/"
            )

    def release(self, folder: Path, directory: Path, error: str | None = None) -> None:
        """What a hold was for is over: the jobs of this folder that were put off for it are due now.

        ``error`` is its reason, for a hold that could not be written.
        """
        place = (os.fsencode(folder), os.fsencode(directory))
        with self._transaction() as connection:
            row = connection.execute(
                "DELETE FROM holds WHERE folder = ? AND directory = ? RETURNING error", place
            ).fetchone()
            connection.execute(
                "UPDATE jobs INDEXED BY jobs_to_claim SET due = 1, error = NULL, advice = NULL"
                " WHERE state = 'queued' AND due > 1 AND folder = ? AND error IN (?, ?)",
                (place[0], error, None if row is None else row["error"]),
            )

    def holds(self) -> list[Hold]:
        """Return what cannot be published into, as the daemon last saw it, the oldest first."""
        return [
            Hold(
                folder=Path(os.fsdecode(row["folder"])),
                directory=Path(os.fsdecode(row["directory"])),
                error=row["error"],
                advice=row["advice"],
                since=row["since"],
            )
            for row in self._rows("SELECT * FROM holds ORDER BY since")
        ]

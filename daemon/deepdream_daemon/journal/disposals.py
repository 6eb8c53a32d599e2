"""The journal's disposal side: what becomes of a picture whose dream is safe, until it is done or given up.

What shall become of it is noted by the transaction that announces its dream, and counts from the one that makes the job
done: nothing is moved or deleted before, nothing is forgotten after. A row is worked on by one thread at a time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.settings import Disposal
from deepdream_daemon.journal.store import JournalStore

_PENDING = "disposals INDEXED BY disposals_due WHERE disposals.state = 'pending'"
_MOST = 64
"""So many sources are returned at once."""


@dataclass(frozen=True)
class Order:
    """What shall become of a source that looks as ``fingerprint`` says."""

    how: Disposal
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A source whose dream, ``output``, is done, and ``how`` it is to be disposed of.

    ``target`` is where it was going to be moved when this was begun before; ``begun`` that it was, whichever way.
    ``attempts`` failed before.
    """

    job: int
    source: Path
    folder: Path
    how: Disposal
    fingerprint: str
    sha256: str
    output: Path
    output_sha256: str
    target: Path | None
    attempts: int

    @property
    def begun(self) -> bool:
        """Whether an attempt may have ended in the middle."""
        return self.target is not None


@dataclass(frozen=True, kw_only=True)
class DisposalRecord:
    """How far the disposal of a job's source is; ``state`` is ``pending``, ``done`` or ``given up``.

    ``target`` is where it is moved to, ``due`` when it is tried next, ``updated`` when something happened last.
    """

    how: Disposal
    state: str
    target: Path | None
    attempts: int
    error: str | None
    due: float
    updated: float

    def __str__(self) -> str:
        into = f" to {os.fspath(self.target)!r}" if self.how == "move" and self.target is not None else ""
        done = {"move": f"moved{into}", "trash": "put into the trash", "delete": "deleted"}[self.how]
        if self.state == "done":
            return f"the picture was {done}" if self.error is None else f"the picture was {done}; {self.error}"
        if self.state == "given up":
            return f"the picture was not {done}: {self.error}"
        if self.error is None:
            return f"the picture is about to be {done}"
        seconds = max(0.0, self.due - time.time())
        return f"the picture could not be {done} yet: {self.error}; it is tried again in {seconds:.0f} s"


def place_order(connection: sqlite3.Connection, job: int, order: Order) -> None:
    """Note what shall become of the source once the job is done."""
    connection.execute("DELETE FROM disposals WHERE job = ?", (job,))
    if order.how != "keep":
        connection.execute(
            "INSERT INTO disposals (job, how, fingerprint, updated) VALUES (?, ?, ?, ?)",
            (job, order.how, order.fingerprint, time.time()),
        )


def renew_order(connection: sqlite3.Connection, job: int, order: Order) -> None:
    """The picture of a job that is done was met again as ``order`` says: what shall become of it holds for it too."""
    changed = connection.execute(
        "UPDATE disposals SET fingerprint = ?, due = 0 WHERE job = ? AND state = 'pending'", (order.fingerprint, job)
    ).rowcount
    if not changed:
        place_order(connection, job, order)


class DisposalSide(JournalStore):
    """Operations of whoever disposes of sources, and the questions that people ask about them."""

    def due_disposals(self, now: float | None = None, *, besides: Collection[Path] = ()) -> list[Leftover]:
        """Return some sources that are to be disposed of now, those put off longest ago first; none of the watched
        folders ``besides``."""
        rows = self._rows(
            "SELECT due.how, due.fingerprint, due.attempts, due.target AS goal, jobs.* FROM"
            " disposals AS due INDEXED BY disposals_due CROSS JOIN jobs ON jobs.id = due.job"
            " WHERE due.state = 'pending' AND due.due <= ? AND jobs.state = 'done'"
            f" AND jobs.folder NOT IN ({', '.join('?' * len(besides))}) ORDER BY due.due, due.job LIMIT ?",
            time.time() if now is None else now,
            *map(os.fsencode, besides),
            _MOST,
        )
        return [_leftover(row) for row in rows]

    def begun_disposals(self) -> list[Leftover]:
        """Return the sources whose disposal may have ended in the middle."""
        rows = self._rows(
            "SELECT due.how, due.fingerprint, due.attempts, due.target AS goal, jobs.* FROM"
            f" (SELECT * FROM {_PENDING} AND target IS NOT NULL) AS due JOIN jobs ON jobs.id = due.job"
        )
        return [_leftover(row) for row in rows if row["target"] is not None]

    def announce_disposal(self, leftover: Leftover, target: Path) -> bool:
        """Note where a source is going to be, before anything is done. False when it is not to be any more."""
        with self._transaction() as connection:
            return bool(
                connection.execute(
                    "UPDATE disposals SET target = ?, how = ?, updated = ? WHERE job = ? AND state = 'pending'"
                    " AND EXISTS (SELECT 1 FROM jobs WHERE id = job AND state = 'done')",
                    (os.fsencode(target), leftover.how, time.time(), leftover.job),
                ).rowcount
            )

    def end_disposal(self, leftover: Leftover, state: str, what: str, error: str | None = None) -> None:
        """Pending → done or given up: it is not tried again. ``what`` goes into the history of the file."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE disposals SET state = ?, error = ?, due = 0, updated = ? WHERE job = ? AND state = 'pending'",
                (state, error, time.time(), leftover.job),
            ).rowcount
            if changed:
                self._note(connection, os.fsencode(leftover.source), leftover.job, what)

    def put_off_disposal(self, leftover: Leftover, error: str, *, due: float, counts: bool = True) -> None:
        """Try it again at ``due``; unless it ``counts``, as if it had not been tried."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE disposals SET due = ?, error = ?, attempts = ?, updated = ?"
                " WHERE job = ? AND state = 'pending'",
                (due, error, leftover.attempts + counts, time.time(), leftover.job),
            ).rowcount
            if changed and counts:
                self._note(connection, os.fsencode(leftover.source), leftover.job, f"still there: {error}")

    def mend_disposal_clock(self, latest: float) -> None:
        """Nothing waits longer than until ``latest``: the clock may have been set back."""
        if self._rows(f"SELECT 1 FROM {_PENDING} AND due > ? LIMIT 1", latest):
            with self._transaction() as connection:
                connection.execute(
                    "UPDATE disposals SET due = ? WHERE state = 'pending' AND due > ?",
                    (latest, latest),
                )

    def disposal(self, job: int) -> DisposalRecord | None:
        """Return what becomes, or became, of the source of a job, if anything."""
        rows = self._rows("SELECT * FROM disposals WHERE job = ?", job)
        return _record(rows[0]) if rows else None

    def disposal_troubles(self, most: int = 3) -> list[str]:
        """Say which sources could not be disposed of yet, those that are due first by name."""
        where = f"{_PENDING} AND error IS NOT NULL"
        rows = self._rows(
            f"SELECT jobs.source, due.error FROM (SELECT * FROM {where} ORDER BY due, job LIMIT ?) AS due"
            " JOIN jobs ON jobs.id = due.job",
            most + 1,
        )
        told = [f"{os.fsdecode(row['source'])!r} is still there: {row['error']}" for row in rows[:most]]
        return told + (["so are others"] if len(rows) > most else [])


def _leftover(row: sqlite3.Row) -> Leftover:
    return Leftover(
        job=row["id"],
        source=Path(os.fsdecode(row["source"])),
        folder=Path(os.fsdecode(row["folder"])),
        how=row["how"],
        fingerprint=row["fingerprint"],
        sha256=row["sha256"],
        output=Path(os.fsdecode(row["target"])),
        output_sha256=row["output_sha256"],
        target=None if row["goal"] is None else Path(os.fsdecode(row["goal"])),
        attempts=row["attempts"],
    )


def _record(row: sqlite3.Row) -> DisposalRecord:
    return DisposalRecord(
        how=row["how"],
        state=row["state"],
        target=None if row["target"] is None else Path(os.fsdecode(row["target"])),
        attempts=row["attempts"],
        error=row["error"],
        due=row["due"],
        updated=row["updated"],
    )

"""The journal's delivery side: every dream that is done is on its way to the sinks of its folder until it has arrived
or is given up.

Rows are written by the transaction that makes a job done, so that none is missed; a row is worked on by one thread.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.notes import NoteSide

ASKED_FOR, AT_ONCE = 0, 1
"""What ``due`` is, instead of a time, of what somebody asked for, and of what is due as it is new or its sink works."""

_ALL_PENDING = "INDEXED BY deliveries_due WHERE state = 'pending'"
_PENDING = f"{_ALL_PENDING} AND folder = ? AND sink = ?"


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A dream that has to go to a sink now; ``attempt`` counts from 1, ``finished`` is a unix time."""

    id: int
    job: int
    key: str
    source: Path
    folder: Path
    recipe: str
    seed: int
    output: Path
    finished: float
    attempt: int


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """How far the dream of a job is on its way to ``sink``; ``state`` is ``pending``, ``delivered`` or ``given up``.

    ``due`` is when it is tried next, ``updated`` when something happened last, both unix times; ``waits`` says why it
    waits longer than that, if the running daemon knows.
    """

    sink: str
    state: str
    attempts: int
    error: str | None
    due: float
    updated: float
    waits: str = ""


@dataclass(frozen=True, kw_only=True)
class Undelivered:
    """How many dreams are on their way to a sink, and how many never arrived and are not tried any more."""

    pending: int
    given_up: int


class DeliverySide(NoteSide):
    """Operations of those who bring dreams to sinks, and the questions that people ask about them."""

    def take_parcel(
        self, folder: Path, sink: str, delay_seconds: Callable[[int], float], *, only_asked_for: bool = False
    ) -> Parcel | None:
        """Begin to deliver a dream of this folder that is due: one that somebody asked for, the one put off longest
        ago, or else the oldest.

        From now on the attempt counts, and the next one is ``delay_seconds(attempts before this one)`` away, unless the
        row is told what came of this one: whatever ends this process meanwhile, it is not tried again without end.
        """
        place = (os.fsencode(folder), sink, ASKED_FOR if only_asked_for else time.time())
        if not self._rows(f"SELECT 1 FROM deliveries {_PENDING} AND due <= ? LIMIT 1", *place):
            return None  # asked all the time, so without a write transaction
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT jobs.*, next.id AS delivery, next.attempts AS before, next.finished AS finished FROM"
                f" (SELECT * FROM deliveries {_PENDING} AND due <= ? ORDER BY due, id LIMIT 1) AS next"
                " JOIN jobs ON jobs.id = next.job",
                place,
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, updated = ? WHERE id = ?",
                (time.time() + delay_seconds(row["before"]), time.time(), row["delivery"]),
            )
        return _parcel(row)

    def delivered(self, parcel: Parcel, sink: str) -> None:
        """Pending → delivered: it has arrived."""
        with self._transaction() as connection:
            self._end(connection, parcel, "delivered", f"delivered to {sink!r}", error=None)

    def give_up_delivery(self, parcel: Parcel, sink: str, error: str) -> None:
        """Pending → given up: it is not tried again until someone asks for it."""
        with self._transaction() as connection:
            self._end(connection, parcel, "given up", f"not delivered to {sink!r}, given up: {error}", error=error)

    def put_off_delivery(self, parcel: Parcel, sink: str, error: str, *, due: float, counts: bool = True) -> None:
        """Try it again at ``due``; unless it ``counts``, as if it had not been tried."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE deliveries SET due = ?, error = ?, attempts = ?, updated = ?"
                " WHERE id = ? AND state = 'pending'",
                (due, error, parcel.attempt if counts else parcel.attempt - 1, time.time(), parcel.id),
            ).rowcount
            if changed and counts:
                self._note(connection, os.fsencode(parcel.source), parcel.job, f"not delivered to {sink!r}: {error}")

    def hasten_deliveries(self, folder: Path, sink: str) -> None:
        """The sink works again: what was put off for it is due now."""
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE deliveries SET due = ? WHERE id IN (SELECT id FROM deliveries {_PENDING} AND due > ?)",
                (AT_ONCE, os.fsencode(folder), sink, AT_ONCE),
            )

    def drop_unnamed_deliveries(self) -> dict[tuple[Path, str], int]:
        """Forget what was on its way to sinks that the configuration does not name any more; return how many dreams to
        each."""
        named = {(os.fsencode(folder), sink) for folder, sinks in self.sinks.items() for sink in sinks}
        known = self._rows(f"SELECT DISTINCT folder, sink FROM deliveries {_ALL_PENDING}")
        dropped: dict[tuple[Path, str], int] = {}
        for folder, sink in {(row["folder"], row["sink"]) for row in known} - named:
            with self._transaction() as connection:
                rows = connection.execute(
                    f"SELECT jobs.source, jobs.id FROM deliveries JOIN jobs ON jobs.id = job WHERE deliveries.id IN"
                    f" (SELECT id FROM deliveries {_PENDING})",
                    (folder, sink),
                ).fetchall()
                for row in rows:
                    what = f"not delivered to {sink!r}: the configuration does not name it any more"
                    self._note(connection, row["source"], row["id"], what)
                connection.execute(
                    f"DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries {_PENDING})",
                    (folder, sink),
                )
            dropped[Path(os.fsdecode(folder)), sink] = len(rows)
        return dropped

    def mend_delivery_clock(self, latest: float) -> None:
        """Nothing waits longer than until ``latest``: the clock may have been set back, or a sink mended."""
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE deliveries SET due = ? WHERE id IN (SELECT id FROM deliveries {_ALL_PENDING} AND due > ?)",
                (latest, latest),
            )

    def delivery_troubles(self) -> dict[tuple[Path, str], str]:
        """Return the sinks that did not take a dream that is still on its way, each with what was said last."""
        rows = self._rows(
            f"SELECT folder, sink, error, max(updated) FROM deliveries {_ALL_PENDING} AND error IS NOT NULL"
            " GROUP BY folder, sink"
        )
        return {(Path(os.fsdecode(row["folder"])), row["sink"]): row["error"] for row in rows}

    def undelivered(self) -> Undelivered:
        """Return how many dreams have not arrived."""
        counts = {row["state"]: row["deliveries"] for row in self._rows("SELECT * FROM delivery_tally")}
        return Undelivered(pending=counts["pending"], given_up=counts["given up"])

    def deliveries(self, job: int) -> tuple[DeliveryRecord, ...]:
        """Return where the dream of a job goes or went to, and how far it is."""
        sql = "SELECT folder, sink, state, attempts, error, due, updated FROM deliveries WHERE job = ? ORDER BY id"
        rows, pauses = [dict(row) for row in self._rows(sql, job)], self.pauses()
        found = []
        for row in rows:
            pause = pauses.get((Path(os.fsdecode(row.pop("folder"))), row["sink"]))
            found.append(DeliveryRecord(**row, waits=str(pause) if pause and row["state"] == "pending" else ""))
        return tuple(found)

    def deliver_again(self, jobs: Iterable[int]) -> int:
        """Try at once, and as often as at first, what has not arrived of these jobs; return how many deliveries."""
        with self._transaction() as connection:
            return sum(
                connection.execute(
                    "UPDATE deliveries SET state = 'pending', attempts = 0, due = ?, error = NULL, updated = ?"
                    " WHERE job = ? AND state <> 'delivered'",
                    (ASKED_FOR, time.time(), job),
                ).rowcount
                for job in jobs
            )

    def _end(self, connection: sqlite3.Connection, parcel: Parcel, state: str, what: str, *, error: str | None) -> None:
        changed = connection.execute(
            "UPDATE deliveries SET state = ?, error = ?, updated = ? WHERE id = ? AND state = 'pending'",
            (state, error, time.time(), parcel.id),
        ).rowcount
        if changed:  # it may have been dreamt again meanwhile
            self._note(connection, os.fsencode(parcel.source), parcel.job, what)


def _parcel(row: sqlite3.Row) -> Parcel:
    return Parcel(
        id=row["delivery"],
        job=row["id"],
        key=row["key"],
        source=Path(os.fsdecode(row["source"])),
        folder=Path(os.fsdecode(row["folder"])),
        recipe=row["recipe"],
        seed=row["seed"],
        output=Path(os.fsdecode(row["target"])),
        finished=row["finished"],
        attempt=row["before"] + 1,
    )

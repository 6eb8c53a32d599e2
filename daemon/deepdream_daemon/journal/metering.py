"""The journal as a meter reads it: beside the daemon, over connections of its own, so that it never waits for a lock
that the daemon's threads hold.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Self

from deepdream_daemon.journal.deliveries import Undelivered
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.store import FILE_NAME

HELD_SECONDS = 5.0
"""Every change of the daemon takes far less; whoever locks the journal for longer holds the daemon up."""
MOST_TO_COME = 100_000
"""More than that many that ended in the time that the clock was set back by may be told twice."""
FULL_BYTES = 1 << 20
"""With less room on its disk the next change may fail."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that has ended: ``state`` is ``done``, ``failed`` or ``vanished``; ``seconds`` of the work, if known."""

    state: str
    recipe: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the journal says now. ``ended`` are the jobs that did since the last reading; ``queue_seconds`` is how long
    the oldest picture has waited whose turn it is; ``locked_out`` says why nothing can be written, if so."""

    counts: Mapping[str, int] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    queue_seconds: float = 0.0
    undelivered: Undelivered = field(default_factory=lambda: Undelivered(pending=0, given_up=0))
    undisposed: int = 0
    paused: bool = False
    draining: bool = False
    locked_out: str | None = None


class JournalMeter(Journal):
    """Reads the journal again and again; used by one thread."""

    _seen = 0.0
    _to_come: AbstractSet[tuple[int, float]] = frozenset()
    _held_since: float | None = None
    _writer: sqlite3.Connection | None = None

    @classmethod
    def beside(cls, state: Path, since: float) -> Self | None:
        """Open the journal of the daemon that works with the folder ``state``; ``None`` while there is none. Told are
        jobs that end after ``since`` (unix time)."""
        if not (state / FILE_NAME).exists():
            return None
        meter = cls.open(state, read_only=True)
        meter._seen = since
        return meter

    def read(self) -> Reading:
        """Return what there is to tell; takes some milliseconds at most, with a million jobs, too."""
        return Reading(
            counts=self.counts(),
            ended=self._ended(),
            queue_seconds=self._queue_seconds(),
            undelivered=self.undelivered(),
            undisposed=self._rows("SELECT count(*) FROM disposals WHERE state = 'pending'")[0][0],
            paused=self.is_paused(),
            draining=self.is_draining(),
            locked_out=self._locked_out(),
        )

    def close(self) -> None:
        """Close both connections."""
        if self._writer is not None:
            self._writer.close()
        super().close()

    def _ended(self) -> tuple[Ended, ...]:
        """Return what has ended since the last call. Ends are told apart by their times, which only grow, as one writes
        at a time, unless the clock is set back: then those are remembered that seem to be still to come."""
        now = time.time()
        if now < self._seen:
            self._to_come = {(row["id"], row["updated"]) for _, row in self._ends_between(now, inf, MOST_TO_COME)}
            self._seen = now
        elif self._to_come and now > max(updated for _, updated in self._to_come):
            self._to_come = frozenset()
        found = list(self._ends_between(self._seen, now if self._to_come else inf))
        self._seen = max([self._seen, *(row["updated"] for _, row in found)])
        return tuple(
            Ended(state=state, recipe=row["recipe"], seconds=row["seconds"])
            for state, row in found
            if (row["id"], row["updated"]) not in self._to_come
        )

    def _ends_between(self, after: float, until: float, most: int = -1) -> Iterator[tuple[str, sqlite3.Row]]:
        for state in ("done", "failed", "vanished"):
            rows = self._rows(
                "SELECT id, recipe, seconds, updated FROM jobs INDEXED BY jobs_ended"
                f" WHERE state IN ('done', 'failed', 'vanished') AND state = '{state}' AND updated > ? AND updated <= ?"
                " LIMIT ?",
                after,
                until,
                most,
            )
            yield from ((state, row) for row in rows)

    def _queue_seconds(self) -> float:
        queued = "SELECT created FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due"
        rows = self._rows(f"{queued} = 0 ORDER BY id LIMIT 1")
        rows += self._rows(f"{queued} > 0 AND due <= ? ORDER BY due, id LIMIT 1", time.time())
        now = time.time()
        return max((max(0.0, now - row["created"]) for row in rows), default=0.0)

    def _locked_out(self) -> str | None:
        """Say why the daemon cannot write, by doing what it does first: taking the lock, and giving it back at once."""
        try:
            place = os.statvfs(self.state)
            if place.f_bavail * place.f_frsize < FULL_BYTES:
                return "its disk is full"
            if self._writer is None:
                uri = f"file:{urllib.parse.quote(os.fsencode(self.state / FILE_NAME))}?mode=rw"
                self._writer = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return str(error)
            now = time.monotonic()
            self._held_since = now if self._held_since is None else self._held_since
            held = now - self._held_since
            return f"it has been locked for {held:.0f} s" if held > HELD_SECONDS else None
        except (OSError, sqlite3.DatabaseError) as error:
            return str(error)
        self._held_since = None
        return None


def closing_quietly(meter: JournalMeter | None) -> None:
    """Close ``meter``, if there is one, whatever its disk says."""
    if meter is not None:
        with contextlib.suppress(sqlite3.Error):
            meter.close()

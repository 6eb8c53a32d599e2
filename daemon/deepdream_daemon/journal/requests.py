"""The journal's request side: what people ask for files and folders by ``deepdream retry`` and ``deepdream forget``.

Whole folders are worked off in transactions of a few hundred jobs, so that a daemon goes on beside them. Outputs are
never forgotten here: a dream is recognised as one for as long as it is there.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.deliveries import DeliverySide
from deepdream_daemon.journal.store import NEVER
from deepdream_daemon.publishing import quarantine

AT_ONCE = 500
_FAILED = "state IN ('done', 'failed', 'vanished') AND state = 'failed'"  # in the words of the partial index
_BELOW = "source > ? AND source < ?"
_SPARED = "DELETE FROM disposals WHERE job = ? AND state <> 'done' AND target IS NULL"
"""The source is needed again, unless it is on its way already."""
_UNDELIVERED = (
    "SELECT DISTINCT jobs.id, jobs.target FROM jobs JOIN deliveries ON deliveries.job = jobs.id"
    " WHERE jobs.state = 'done' AND deliveries.state <> 'delivered' AND"
)


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """How many jobs and refusals are forgotten, and what is not, since it is under way."""

    entries: int
    under_way: tuple[Path, ...] = ()


class RequestSide(DeliverySide):
    """Operations that a person asks for. Each takes a file, or a folder for all that is in it."""

    def to_deliver_again(self, path: Path) -> list[int]:
        """Return the jobs of the file at ``path`` whose dreams are there, but have not arrived at all sinks."""
        return _with_dream(self._rows(f"{_UNDELIVERED} jobs.source = ?", os.fsencode(path)))

    def to_deliver_again_below(self, folder: Path) -> list[int]:
        """Return the same for all files in ``folder``."""
        return _with_dream(self._rows(f"{_UNDELIVERED} {_BELOW.replace('source', 'jobs.source')}", *_inside(folder)))

    def retry(self, path: Path) -> int:
        """Queue the finished jobs of the file at ``path`` again, also those done; return how many there were.

        A file that was refused without a job is looked at again by the next scan.
        """
        where = "source = ? AND (state IN ('failed', 'vanished', 'done') OR (state = 'queued' AND due > 0))"
        queued = self._queue_again(where, (os.fsencode(path),))
        with self._transaction() as connection:
            refused = connection.execute(
                "DELETE FROM files WHERE directory = ? AND name = ? AND job IS NULL",
                (os.fsencode(path.parent), os.fsencode(path.name)),
            ).rowcount
        return queued or refused

    def retry_below(self, folder: Path, *, only_failed: bool) -> int:
        """Queue again what failed in ``folder`` and, unless ``only_failed``, try at once what waits for its next try;
        return how many jobs that were.
        """
        places = [f"jobs_ended WHERE {_FAILED}"]
        if not only_failed:
            places.append(f"jobs_to_claim WHERE state = 'queued' AND due > 1 AND due < {NEVER}")
        count = 0
        for place in places:
            found = f"SELECT id FROM jobs INDEXED BY {place} AND {_BELOW} LIMIT {AT_ONCE}"
            while queued := self._queue_again(f"id IN ({found})", _inside(folder)):
                count += queued
        return count

    def forget(self, path: Path) -> Forgotten:
        """Forget all about the file at ``path`` or the files in that folder, but for what is under way: its jobs, its
        history, why it was refused. Files are left alone, and so is what tells that outputs are ours.
        """
        source = os.fsencode(path)
        at_work = f"SELECT source FROM jobs WHERE state IN ('running', 'publishing') AND (source = ? OR ({_BELOW}))"
        if rows := self._rows(at_work, source, *_inside(path)):
            return Forgotten(entries=0, under_way=tuple(Path(os.fsdecode(row["source"])) for row in rows))
        inside, place = _inside(path), (os.fsencode(path.parent), os.fsencode(path.name))
        count = self._forget("source = ?", (source,)) + self._forget(_BELOW, inside)
        for where, values in (
            ("directory = ? AND name = ?", place),
            ("directory = ?", (source,)),
            ("directory > ? AND directory < ?", inside),
        ):
            dead = "(job IS NULL OR NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = files.job))"
            found = f"SELECT directory, name FROM files WHERE {where} AND {dead} LIMIT {AT_ONCE}"
            count += self._delete(f"DELETE FROM files WHERE (directory, name) IN ({found})", values)
        for where, values in (("source = ?", (source,)), (_BELOW, inside)):
            dead = "NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.source = history.source)"
            found = f"SELECT id FROM history WHERE {where} AND {dead} LIMIT {AT_ONCE}"
            self._delete(f"DELETE FROM history WHERE id IN ({found})", values)
        return Forgotten(entries=count)

    def _forget(self, where: str, values: Sequence[object]) -> int:
        count = 0
        while True:
            with self._transaction() as connection:
                rows = connection.execute(
                    f"DELETE FROM jobs WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_by_source WHERE {where}"
                    f" AND state NOT IN ('running', 'publishing') LIMIT {AT_ONCE}) RETURNING id, source",
                    values,
                ).fetchall()
                for row in rows:  # or it would be known until all are gone
                    directory, name = os.path.split(row["source"])
                    place = (directory or b"/", name, row["id"])
                    connection.execute("DELETE FROM files WHERE directory = ? AND name = ? AND job = ?", place)
            self._remove_records(rows)
            if not rows:
                return count
            count += len(rows)

    def _delete(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement that deletes a few rows until there are none; return how many there were."""
        count = 0
        while True:
            with self._transaction() as connection:
                deleted = connection.execute(sql, values).rowcount
            if not deleted:
                return count
            count += deleted

    def _queue_again(self, where: str, values: Sequence[object]) -> int:
        with self._transaction() as connection:
            rows = connection.execute(
                "UPDATE jobs SET state = 'queued', attempts = 0, delays = 0, due = 0, error = NULL, advice = NULL,"
                f" target = NULL, updated = ? WHERE {where} RETURNING id, source",
                (time.time(), *values),
            ).fetchall()
            for row in rows:
                self._note(connection, row["source"], row["id"], "queued again: asked for by retry")
                connection.execute("DELETE FROM deliveries WHERE job = ? AND state <> 'delivered'", (row["id"],))
                connection.execute(_SPARED, (row["id"],))
        self._remove_records(rows)
        return len(rows)

    def _remove_records(self, rows: Sequence[sqlite3.Row]) -> None:
        for row in rows:
            quarantine.remove(self.state, row["id"], Path(os.fsdecode(row["source"])))


def _inside(folder: Path) -> tuple[bytes, bytes]:
    """Return what the paths of all files in ``folder``, at any depth, lie between."""
    name = os.fsencode(folder).rstrip(b"/")
    return name + b"/", name + b"0"  # "0" is what follows "/"


def _with_dream(rows: Sequence[sqlite3.Row]) -> list[int]:
    return [row["id"] for row in rows if row["target"] is not None and os.path.lexists(row["target"])]

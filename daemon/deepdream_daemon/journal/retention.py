"""The journal's retention side: what may be forgotten, a few rows at a time in the order of an index, and forgetting
it, each time in one small transaction that looks once more.

Whether files are gone is found out between the two, by :mod:`~deepdream_daemon.running.tidying`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from deepdream_daemon.journal.notes import NoteSide

ENDED = ("done", "failed", "vanished")
_ENDED = "state IN ('done', 'failed', 'vanished') AND state = ?"  # in the words of the partial index
_UNSETTLED = (  # where the dream or the picture has not come to rest yet
    "EXISTS (SELECT 1 FROM deliveries WHERE job = jobs.id AND deliveries.state = 'pending')"
    " OR jobs.state = 'done' AND EXISTS (SELECT 1 FROM disposals WHERE job = jobs.id AND disposals.state = 'pending')"
)


class EndedJob(NamedTuple):
    """A job that ended, and when."""

    id: int
    state: str
    updated: float
    source: Path


class RetentionSide(NoteSide):
    """Operations of whoever tidies the journal. Each question yields lists of up to ``few`` rows."""

    def ended(self, state: str, before: float, few: int) -> Iterator[list[EndedJob]]:
        """Yield the jobs that ended so ``before`` (unix time), the oldest first."""
        sql = f"SELECT id, source, updated FROM jobs WHERE {_ENDED} AND updated < ? AND (updated, id) > (?, ?)"
        updated, last = -1.0, 0
        while rows := self._rows(f"{sql} ORDER BY updated, id LIMIT ?", state, before, updated, last, few):
            updated, last = rows[-1]["updated"], rows[-1]["id"]
            yield [EndedJob(row["id"], state, row["updated"], Path(os.fsdecode(row["source"]))) for row in rows]

    def forget_ended(self, jobs: Sequence[EndedJob]) -> int:
        """Forget these jobs, their files and, of files without another job, their histories; not those that changed
        meanwhile, or whose dream or picture has not come to rest.
        """
        count = 0
        if not jobs:
            return count
        with self._transaction() as connection:
            for job in jobs:
                same = f"DELETE FROM jobs WHERE id = ? AND state = ? AND updated = ? AND NOT ({_UNSETTLED})"
                if not connection.execute(same, (job.id, job.state, job.updated)).rowcount:
                    continue
                count += 1
                source, place = os.fsencode(job.source), _place(job.source)
                connection.execute(
                    "DELETE FROM files WHERE directory = ? AND name = ? AND (job = ? OR job IS NULL)", (*place, job.id)
                )
                connection.execute(
                    "DELETE FROM history WHERE source = ?"
                    " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.source = history.source)",
                    (source,),
                )
        return count

    def lone_outputs(self, few: int) -> Iterator[list[tuple[str, Path]]]:
        """Yield digest and place of outputs whose jobs are forgotten."""
        sql = (
            "SELECT sha256, path, NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = outputs.job) AS lone FROM outputs"
            " WHERE (sha256, path) > (?, ?) ORDER BY sha256, path LIMIT ?"
        )
        sha256, path = "", b""
        while rows := self._rows(sql, sha256, path, few):
            sha256, path = rows[-1]["sha256"], rows[-1]["path"]
            yield [(row["sha256"], Path(os.fsdecode(row["path"]))) for row in rows if row["lone"]]

    def forget_outputs(self, outputs: Sequence[tuple[str, Path]]) -> int:
        """Recognise these no more."""
        if not outputs:
            return 0
        with self._transaction() as connection:
            return sum(
                connection.execute(
                    "DELETE FROM outputs WHERE sha256 = ? AND path = ?"
                    " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = outputs.job)",
                    (sha256, os.fsencode(path)),
                ).rowcount
                for sha256, path in outputs
            )

    def lone_files(self, few: int) -> Iterator[list[Path]]:
        """Yield files that were refused, or whose jobs are forgotten."""
        sql = (
            "SELECT directory, name, job IS NULL OR NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = files.job) AS lone"
            " FROM files WHERE (directory, name) > (?, ?) ORDER BY directory, name LIMIT ?"
        )
        directory, name = b"", b""
        while rows := self._rows(sql, directory, name, few):
            directory, name = rows[-1]["directory"], rows[-1]["name"]
            yield [Path(os.fsdecode(row["directory"]), os.fsdecode(row["name"])) for row in rows if row["lone"]]

    def forget_files(self, files: Sequence[Path], before: float) -> int:
        """Forget why these were refused, unless something happened to one since ``before``."""
        if not files:
            return 0
        with self._transaction() as connection:
            return sum(
                connection.execute(
                    "DELETE FROM files WHERE directory = ? AND name = ?"
                    " AND (job IS NULL OR NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = files.job))"
                    " AND NOT EXISTS (SELECT 1 FROM history WHERE source = ? AND at >= ?)",
                    (*_place(file), os.fsencode(file), before),
                ).rowcount
                for file in files
            )

    def histories(self, few: int) -> Iterator[list[tuple[Path, int, float]]]:
        """Yield files with the number of lines of their histories, and the time of the latest."""
        sql = "SELECT source, count(*) AS lines, max(at) AS latest FROM history WHERE source > ?"
        source = b""
        while rows := self._rows(f"{sql} GROUP BY source ORDER BY source LIMIT ?", source, few):
            source = rows[-1]["source"]
            yield [(Path(os.fsdecode(row["source"])), row["lines"], row["latest"]) for row in rows]

    def forget_histories(self, files: Sequence[Path]) -> int:
        """Forget what happened to these files, unless they have a job or were refused."""
        return self._on_histories(
            "DELETE FROM history WHERE source = ?"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.source = history.source)"
            " AND NOT EXISTS (SELECT 1 FROM files WHERE directory = ? AND name = ?)",
            [(os.fsencode(file), *_place(file)) for file in files],
        )

    def shorten_histories(self, files: Sequence[Path], lines: int, before: float) -> int:
        """Keep only the latest ``lines`` of what happened to these files ``before``."""
        return self._on_histories(
            "DELETE FROM history WHERE source = ? AND at < ? AND id NOT IN"
            " (SELECT id FROM history WHERE source = ? ORDER BY id DESC LIMIT ?)",
            [(os.fsencode(file), before, os.fsencode(file), lines) for file in files],
        )

    def has_failed(self, job: int) -> bool:
        """Tell whether there is such a job, and it failed."""
        return bool(self._rows("SELECT 1 FROM jobs WHERE id = ? AND state = 'failed'", job))

    def mend_ended(self, latest: float) -> None:
        """What ended after ``latest``, by a clock that was wrong then, ended now: or it would be kept until that time
        has come."""
        for state in ENDED:
            if self._rows(f"SELECT 1 FROM jobs WHERE {_ENDED} AND updated > ? LIMIT 1", state, latest):
                with self._transaction() as connection:
                    sql = f"UPDATE jobs SET updated = ? WHERE {_ENDED} AND updated > ?"
                    connection.execute(sql, (time.time(), state, latest))

    def _on_histories(self, sql: str, values: Sequence[tuple[object, ...]]) -> int:
        if not values:
            return 0
        with self._transaction() as connection:
            return sum(connection.execute(sql, each).rowcount for each in values)


def _place(path: Path) -> tuple[bytes, bytes]:
    return os.fsencode(path.parent), os.fsencode(path.name)

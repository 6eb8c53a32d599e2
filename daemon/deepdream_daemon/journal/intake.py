"""The journal's intake side: files are known by fingerprint, and become jobs in batches, one transaction
each.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.disposals import Order, renew_order
from deepdream_daemon.journal.notes import expect_records
from deepdream_daemon.journal.store import NEVER, JournalStore


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job that a file asks for. With ``error`` it could not even be queued, and is recorded as failed; or, if it
    ``expects`` a file beside it or a plugin, as waiting. ``choice`` is the recipe that the plugin ``chosen_by`` chose
    for it; ``note`` is a further line of its history. ``order`` says what becomes of the file if its dream is there.
    """

    key: str
    folder: Path
    sha256: str
    recipe: str
    seed: int
    error: str | None = None
    advice: str | None = None
    expects: bool = False
    choice: str | None = None
    chosen_by: str | None = None
    note: str = ""
    order: Order | None = None


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What intake decided about a file: a job, or a reason for none."""

    path: Path
    fingerprint: str
    job: NewJob | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the journal made of a :class:`Taken`: the job's id and state, whether it is a new one, and the older
    jobs that it replaced; and when (unix time) it was noted that the record of a job which failed may be missing.
    """

    taken: Taken
    job: int | None
    state: str
    is_new: bool = False
    replaced: tuple[int, ...] = ()
    noted: float | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it has failed from the start."""
        return self.is_new and self.state == "failed"


class IntakeSide(JournalStore):
    """Operations of the thread that takes files in."""

    def known(self, directory: Path) -> dict[str, str]:
        """Return the fingerprints of the files of one directory that were taken or refused, by name."""
        rows = self._rows("SELECT name, fingerprint FROM files WHERE directory = ?", os.fsencode(directory))
        return {os.fsdecode(name): fingerprint for name, fingerprint in rows}

    def is_known(self, path: Path, fingerprint: str) -> bool:
        """Tell whether the file was taken or refused when it looked just like this."""
        rows = self._rows(
            "SELECT 1 FROM files WHERE directory = ? AND name = ? AND fingerprint = ?",
            *_place(path),
            fingerprint,
        )
        return bool(rows)

    def latest_failed(self, limit: int) -> list[Path]:
        """Return the files of up to ``limit`` failed jobs, those that failed last first."""
        sql = (
            "SELECT source FROM jobs WHERE state IN ('done', 'failed', 'vanished') AND state = 'failed'"
            " ORDER BY updated DESC LIMIT ?"
        )
        return [Path(os.fsdecode(source)) for (source,) in self._rows(sql, limit)]

    def expecting(self) -> list[Path]:
        """Return the files that wait for another one."""
        sql = "SELECT source FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due >= ?"
        return [Path(os.fsdecode(source)) for (source,) in self._rows(sql, NEVER)]

    def expect_no_more(self, path: Path) -> None:
        """Have the job of the file at ``path``, which waits for another one, claimed: the file seems to be gone."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET due = 0, error = NULL, advice = NULL WHERE source = ? AND state = 'queued'"
                " AND due >= ?",
                (os.fsencode(path), NEVER),
            )

    def queued(self) -> int:
        """Return how many files are in the queue, whether they are due or not."""
        count: int = self._rows("SELECT jobs FROM tally WHERE state = 'queued'")[0][0]
        return count

    def reconsider(self, failed_in: Iterable[Path] = ()) -> None:
        """Forget what was decided about files that wait for another one, and about those that failed in the watched
        folders ``failed_in``: the next scan decides again.
        """
        failed = (
            "SELECT id, source FROM jobs WHERE state IN ('done', 'failed', 'vanished') AND state = 'failed'"
            " AND folder = ?"
        )
        rows = [row for folder in failed_in for row in self._rows(failed, os.fsencode(folder))]
        with self._transaction() as connection:
            for job, source in rows:
                place = _place(Path(os.fsdecode(source)))
                connection.execute("DELETE FROM files WHERE directory = ? AND name = ? AND job = ?", (*place, job))
            connection.execute(
                "DELETE FROM files WHERE job IN"
                " (SELECT id FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due >= ?)",
                (NEVER,),
            )

    def output_with(self, sha256: str) -> Path | None:
        """Return where an output of ours with this content was published, if there ever was one."""
        rows = self._rows("SELECT path FROM outputs WHERE sha256 = ? LIMIT 1", sha256)
        return Path(os.fsdecode(rows[0][0])) if rows else None

    def record(self, batch: Sequence[Taken]) -> list[Recorded]:
        """Record what was decided about some files, all in one transaction."""
        with self._transaction() as connection:
            recorded = [self._record(connection, taken) for taken in batch]
            if not any(each.has_failed for each in recorded):
                return recorded
            noted = expect_records(connection)
            return [replace(each, noted=noted) if each.has_failed else each for each in recorded]

    def _record(self, connection: sqlite3.Connection, taken: Taken) -> Recorded:
        source = os.fsencode(taken.path)
        job, state, verdict = None, "skipped", taken.reason
        replaced: tuple[int, ...] = ()
        is_new = False
        if taken.job is not None:
            row = connection.execute("SELECT id, state, due FROM jobs WHERE key = ?", (taken.job.key,)).fetchone()
            if row is None:
                replaced = self._replace_older(connection, source)
                job, state = self._insert(connection, source, taken.job)
                verdict, is_new = "taken", True
            else:
                job, state, verdict = self._met_again(connection, source, row, taken.job.order)
        connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            (*_place(taken.path), taken.fingerprint, job, verdict),
        )
        if taken.job is None:
            self._note(connection, source, None, f"not taken: {verdict}")
        return Recorded(taken=taken, job=job, state=state, is_new=is_new, replaced=replaced)

    def _insert(self, connection: sqlite3.Connection, source: bytes, new: NewJob) -> tuple[int, str]:
        now = time.time()
        state = "failed" if new.error and not new.expects else "queued"
        cursor = connection.execute(
            "INSERT INTO jobs (key, source, folder, sha256, recipe, seed, state, due, error,"
            " advice, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.key, source, os.fsencode(new.folder), new.sha256, new.recipe, new.seed, state),
                *(NEVER if new.expects else 0, new.error, new.advice, now, now),
            ),
        )
        job = cursor.lastrowid
        assert job is not None  # an INSERT always has one
        if new.choice is not None:
            connection.execute("INSERT INTO choices VALUES (?, ?, ?)", (job, new.choice, new.chosen_by))
        if new.note:
            self._note(connection, source, job, new.note)
        what = "queued to be copied" if new.recipe == COPIED else f"queued for {new.recipe}"
        if new.chosen_by is not None:
            what += f", chosen by the plugin {new.chosen_by!r}"
        if new.error:
            what = new.error if new.expects else f"failed: {new.error}"
        self._note(connection, source, job, what)
        return job, state

    def _met_again(
        self, connection: sqlite3.Connection, source: bytes, row: sqlite3.Row, order: Order | None
    ) -> tuple[int, str, str]:
        """The same content under the same key: dreamt, failed or waiting already. Only a vanished one is
        queued again; what becomes of a file whose dream is there is done with this one, too.
        """
        job: int = row["id"]
        if row["state"] == "vanished":
            connection.execute(
                "UPDATE jobs SET state = 'queued', due = 0, error = NULL, updated = ? WHERE id = ?",
                (time.time(), job),
            )
            self._note(connection, source, job, "back again: queued")
            return job, "queued", "taken"
        if row["due"] >= NEVER:  # looked at again, by a daemon that was started anew
            return job, "queued", "taken"
        if row["state"] == "done" and order is not None:
            renew_order(connection, job, order)
        verdict = f"the same picture and recipe as job {job}, which is {row['state']}"
        self._note(connection, source, job, f"touched: {verdict}")
        return job, row["state"], verdict

    def _replace_older(self, connection: sqlite3.Connection, source: bytes) -> tuple[int, ...]:
        """Jobs of an older content or recipe of this file that are not under way will never be wanted
        again.
        """
        rows = connection.execute(
            "SELECT id FROM jobs WHERE source = ? AND state IN ('queued', 'failed', 'vanished')", (source,)
        ).fetchall()
        for (job,) in rows:
            connection.execute("DELETE FROM jobs WHERE id = ?", (job,))
            self._note(
                connection, source, job, "replaced: the picture, its side file, a companion or its recipe changed"
            )
        return tuple(job for (job,) in rows)


def _place(path: Path) -> tuple[bytes, bytes]:
    return os.fsencode(path.parent), os.fsencode(path.name)

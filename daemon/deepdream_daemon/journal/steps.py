"""The journal's steps: jobs go queued → running → publishing → done, or back, or out, one transaction each.

Every step says from which state it comes and reports whether it was still so; a thread that was given up on
therefore cannot publish a job that has gone back to the queue.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from deepdream_daemon.journal.claims import COPIED, Announced, Claim
from deepdream_daemon.journal.deliveries import AT_ONCE
from deepdream_daemon.journal.disposals import place_order
from deepdream_daemon.journal.store import JournalStore


class StepSide(JournalStore):
    """Operations of whoever works on jobs that were claimed."""

    def announce(self, out: Announced) -> bool:
        """Running → publishing: note what is about to become visible, and since when; said again under another name, or
        in another try, that stays. False when the job is no longer ours.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = 'publishing', temp = ?, target = ?, output_sha256 = ?,"
                " output_inode = ?, updated = CASE state WHEN 'running' THEN ? ELSE updated END"
                " WHERE id = ? AND state IN ('running', 'publishing')",
                (os.fsencode(out.temp), os.fsencode(out.target), out.sha256, str(out.inode), time.time(), out.job),
            ).rowcount
            if changed:
                recipe = connection.execute("SELECT recipe FROM jobs WHERE id = ?", (out.job,)).fetchone()[0]
                # A copied file is no dream: were it met again anywhere, it must not be taken for one.
                known_by = COPIED + out.sha256 if recipe == COPIED else out.sha256
                # Names tried before this one were taken by others.
                connection.execute("DELETE FROM outputs WHERE job = ? AND sha256 = ?", (out.job, known_by))
                row = (known_by, os.fsencode(out.target), out.job)
                connection.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)", row)
                if out.order is not None:
                    place_order(connection, out.job, out.order)
            return bool(changed)

    def finish(self, job: int, seconds: float | None) -> None:
        """Publishing → done: the output is visible and durable, and on its way to the sinks of its folder."""
        values = {"temp": None, "error": None, "advice": None, "delays": 0, "seconds": seconds}
        with self._transaction() as connection:
            folder = self._step(connection, job, ("publishing",), "done", "done", **values)
            if folder is not None:
                self._send(connection, job, folder)

    def put_back(self, jobs: Sequence[int], why: str) -> None:
        """Running → queued, with no attempt used up. What is announced stays so: it may be visible already."""
        with self._transaction() as connection:
            for job in jobs:
                self._step(connection, job, ("running",), "queued", f"queued again: {why}", due=0)

    def renounce(self, job: int, why: str) -> None:
        """Publishing → running: what was announced did not become visible, and will not."""
        self._move(job, "publishing", "running", f"not published: {why}", temp=None, target=None)

    def take_back(self, job: int, why: str) -> None:
        """Publishing → queued: recovery has found out that what was announced did not become visible."""
        self._move(job, "publishing", "queued", f"queued again: {why}", due=0, temp=None)

    def put_off(
        self,
        job: int,
        *,
        due: float,
        attempts: int,
        delays: int,
        error: str,
        advice: str,
        worked_seconds: float = 0.0,
    ) -> None:
        """Running → queued, but not before ``due``; ``worked_seconds`` is what the next claim says of earlier tries."""
        values = {
            "due": due,
            "attempts": attempts,
            "delays": delays,
            "error": error,
            "advice": advice,
            "seconds": worked_seconds,
        }
        self._move(job, "running", "queued", f"put off: {error}", **values)

    def fail(self, job: int, *, attempts: int, error: str, advice: str) -> None:
        """Running → failed: it is not tried again until someone asks for it."""
        self._move(job, "running", "failed", f"failed: {error}", attempts=attempts, error=error, advice=advice)

    def vanish(self, claim: Claim) -> None:
        """Running → vanished: the picture is gone. Were it to come back, it would be taken again."""
        error = "the file was deleted or moved away before its dream was done"
        with self._transaction() as connection:
            self._step(connection, claim.id, ("running",), "vanished", f"vanished: {error}", error=error)
            self._forget_file(connection, claim)

    def withdraw(self, claim: Claim, why: str) -> None:
        """Forget a running job whose picture or recipe is no longer the one that was queued; the file
        settles again.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ? AND state = 'running'", (claim.id,))
            self._forget_file(connection, claim)
            self._note(connection, os.fsencode(claim.source), claim.id, f"withdrawn: {why}")

    def skip(self, claim: Claim, fingerprint: str, why: str) -> None:
        """Forget a running job for which nothing is to be dreamt, and remember why of its file as it is now."""
        place = os.fsencode(claim.source.parent), os.fsencode(claim.source.name)
        with self._transaction() as connection:
            if connection.execute("DELETE FROM jobs WHERE id = ? AND state = 'running'", (claim.id,)).rowcount:
                connection.execute("DELETE FROM outputs WHERE job = ?", (claim.id,))
                connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, NULL, ?)", (*place, fingerprint, why))
                self._note(connection, os.fsencode(claim.source), claim.id, f"skipped: {why}")

    def _forget_file(self, connection: sqlite3.Connection, claim: Claim) -> None:
        self._forgotten_files += 1
        place = os.fsencode(claim.source.parent), os.fsencode(claim.source.name)
        connection.execute("DELETE FROM files WHERE directory = ? AND name = ? AND job = ?", (*place, claim.id))

    def _send(self, connection: sqlite3.Connection, job: int, folder: bytes) -> None:
        now = time.time()
        if connection.execute("SELECT recipe FROM jobs WHERE id = ?", (job,)).fetchone()[0] == COPIED:
            return  # sinks are for dreams
        for sink in self.sinks.get(Path(os.fsdecode(folder)), ()):
            # A dream that was made again goes there again, with a number of its own.
            connection.execute("DELETE FROM deliveries WHERE job = ? AND sink = ?", (job, sink))
            connection.execute(
                "INSERT INTO deliveries (job, folder, sink, due, finished, updated) VALUES (?, ?, ?, ?, ?, ?)",
                (job, folder, sink, AT_ONCE, now, now),
            )

    def _move(self, job: int, before: str, after: str, what: str, **values: object) -> None:
        with self._transaction() as connection:
            self._step(connection, job, (before,), after, what, **values)

    def _step(
        self,
        connection: sqlite3.Connection,
        job: int,
        before: tuple[str, ...],
        after: str,
        what: str,
        **values: object,
    ) -> bytes | None:
        """Return the watched folder of the job, or ``None`` when it was in no such state."""
        columns = "".join(f", {name} = ?" for name in values)
        marks = ",".join("?" * len(before))
        row = connection.execute(
            f"UPDATE jobs SET state = ?, updated = ?{columns} WHERE id = ? AND state IN ({marks})"
            " RETURNING source, folder",
            (after, time.time(), *values.values(), job, *before),
        ).fetchone()
        if row is None:
            return None
        if after != "done":  # what was to become of its source was meant for a dream that did not come to be
            connection.execute("DELETE FROM disposals WHERE job = ? AND state = 'pending' AND target IS NULL", (job,))
        self._note(connection, row["source"], job, what)
        folder: bytes = row["folder"]
        return folder

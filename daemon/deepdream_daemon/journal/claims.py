"""The journal's claim side: jobs go queued → running → publishing → done, or back, or out, one transaction
each.

Every step says from which state it comes and reports whether it was still so; a thread that was given up on
therefore cannot publish a job that has gone back to the queue.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.deliveries import AT_ONCE
from deepdream_daemon.journal.disposals import Order, place_order
from deepdream_daemon.journal.store import NEVER, JournalStore
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS

COPIED = "(copied)"
"""Stands for the recipe in jobs that copy a file which is no picture; no recipe can be called so."""
_LONGEST_LOOK = 10_000
"""So many jobs of a folder are looked at for one whose content is not at work yet."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job that is ours to do now."""

    id: int
    key: str
    source: Path
    folder: Path
    sha256: str
    recipe: str
    attempts: int
    delays: int
    choice: str | None = None
    """The recipe that a plugin chose when the picture was taken; it is not asked again."""


@dataclass(frozen=True, kw_only=True)
class Announced:
    """An output about to become visible, as announced before it does: enough to find out after a crash
    whether it did. ``order`` says what becomes of its source then; without one, what was said before holds.
    """

    job: int
    temp: Path
    target: Path
    sha256: str
    inode: int
    order: Order | None = None


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Another picture of the same content whose dream is published."""

    source: Path
    key: str
    output: Path


class ClaimSide(JournalStore):
    """Operations of the pipeline, and of recovery when the daemon starts."""

    def claim(
        self,
        limit: int,
        folders: Sequence[Path],
        *,
        most: Mapping[Path, int] | None = None,
        once: Container[Path] = (),
        copies: bool = False,
    ) -> list[Claim]:
        """Take up to ``limit`` jobs of these folders that are due: those put off first, then the oldest.

        Of a folder in ``most``, no more than so many are taken; of one in ``once``, none whose content is at work for
        the same recipe. ``copies`` takes those that only copy a file, which are left out otherwise.
        """
        now = time.time()
        rows = self._due(limit, folders, most=most or {}, once=once, copies=copies, now=now)
        if not rows:
            return []  # asked several times a second, so without a write transaction
        with self._transaction() as connection:
            # Another process may have had something else in mind with one of them since.
            taken = [
                row
                for row in rows
                if connection.execute(
                    "UPDATE jobs SET state = 'running', updated = ? WHERE id = ? AND state = 'queued'",
                    (now, row["id"]),
                ).rowcount
            ]
            return [_claim(row, self._choice(row["id"])) for row in taken]

    def _due(
        self,
        limit: int,
        folders: Sequence[Path],
        *,
        most: Mapping[Path, int],
        once: Container[Path],
        copies: bool,
        now: float,
    ) -> list[sqlite3.Row]:
        """Folder by folder, since one that is closed may have a million jobs that need not be looked at."""
        where = (
            f"SELECT * FROM jobs INDEXED BY {'jobs_to_copy' if copies else 'jobs_by_folder'} WHERE state = 'queued'"
            f" AND folder = ? AND recipe {'=' if copies else '<>'} '{COPIED}' AND due"
        )
        found: list[sqlite3.Row] = []
        with self._lock:
            for folder in folders:
                name, wanted = os.fsencode(folder), min(limit, most.get(folder, limit))
                busy = self._contents_at_work(name) if folder in once else None
                for sql, values in (
                    (f"{where} > 0 AND due <= ? ORDER BY due, id LIMIT ?", (name, now)),
                    (f"{where} = 0 ORDER BY id LIMIT ?", (name,)),
                ):
                    left = _LONGEST_LOOK if busy is not None else wanted
                    for row in self._connection.execute(sql, (*values, left)):
                        if wanted <= 0:
                            break
                        content = (row["sha256"], row["recipe"])
                        if busy is not None and content in busy:
                            continue
                        if busy is not None:
                            busy.add(content)
                        found.append(row)
                        wanted -= 1
        found.sort(key=lambda row: (row["due"] == 0, row["due"], row["id"]))
        return found[:limit]

    def _contents_at_work(self, folder: bytes) -> set[tuple[str, str]]:
        rows = self._rows(
            "SELECT sha256, recipe FROM jobs WHERE state IN ('running', 'publishing') AND folder = ?", folder
        )
        return {(row["sha256"], row["recipe"]) for row in rows}

    def announce(self, out: Announced) -> bool:
        """Running → publishing: note what is about to become visible. False when the job is no longer
        ours.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = 'publishing', temp = ?, target = ?, output_sha256 = ?,"
                " output_inode = ?, updated = ? WHERE id = ? AND state IN ('running', 'publishing')",
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

    def put_off(self, job: int, *, due: float, attempts: int, delays: int, error: str, advice: str) -> None:
        """Running → queued, but not before ``due``."""
        values = {
            "due": due,
            "attempts": attempts,
            "delays": delays,
            "error": error,
            "advice": advice,
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

    def twins(self, sha256: str, recipe: str, folder: Path) -> list[Twin]:
        """Return the pictures of the watched folder that have this content and are dreamt with this recipe."""
        rows = self._rows(
            "SELECT source, key, target FROM jobs INDEXED BY jobs_by_content"
            " WHERE sha256 = ? AND recipe = ? AND state = 'done' AND folder = ? AND target IS NOT NULL ORDER BY id",
            *(sha256, recipe, os.fsencode(folder)),
        )
        return [
            Twin(source=Path(os.fsdecode(source)), key=key, output=Path(os.fsdecode(target)))
            for source, key, target in rows
        ]

    def copies_of(self, source: Path) -> list[tuple[str, Path]]:
        """Return the copies of the file at ``source`` that were published, each with its SHA-256."""
        rows = self._rows(
            "SELECT output_sha256, target FROM jobs WHERE source = ? AND recipe = ? AND state = 'done' ORDER BY id",
            *(os.fsencode(source), COPIED),
        )
        return [(sha256, Path(os.fsdecode(target))) for sha256, target in rows if target is not None]

    def at_work(self) -> tuple[list[int], list[Announced]]:
        """Return the jobs that a daemon which is gone left running, and the outputs that it had announced."""
        rows = self._rows("SELECT * FROM jobs WHERE state IN ('running', 'publishing')")
        running = [row["id"] for row in rows if row["state"] == "running"]
        return running, [_announced(row) for row in rows if row["state"] == "publishing"]

    def announced(self, job: int) -> Announced | None:
        """Return the output that a publishing job has announced; ``None`` in every other state."""
        rows = self._rows("SELECT * FROM jobs WHERE id = ? AND state = 'publishing'", job)
        return _announced(rows[0]) if rows else None

    def source(self, job: int) -> Path | None:
        """Return which picture a job is for."""
        rows = self._rows("SELECT source FROM jobs WHERE id = ?", job)
        return Path(os.fsdecode(rows[0][0])) if rows else None

    def mend_clock(self) -> None:
        """Nothing waits longer than the longest back-off, also after the clock was set back."""
        latest = time.time() + 2 * LONGEST_SECONDS
        where = "INDEXED BY jobs_to_claim WHERE state = 'queued' AND due > ? AND due < ?"
        if not self._rows(f"SELECT 1 FROM jobs {where} LIMIT 1", latest, NEVER):
            return
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs INDEXED BY jobs_to_claim SET due = ? WHERE state = 'queued' AND due > ? AND due < ?",
                (latest, latest, NEVER),
            )

    @staticmethod
    def _forget_file(connection: sqlite3.Connection, claim: Claim) -> None:
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

    def _choice(self, job: int) -> str | None:
        rows = self._rows("SELECT recipe FROM choices WHERE job = ?", job)
        return rows[0][0] if rows else None

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


def _claim(row: sqlite3.Row, choice: str | None) -> Claim:
    return Claim(
        id=row["id"],
        key=row["key"],
        source=Path(os.fsdecode(row["source"])),
        folder=Path(os.fsdecode(row["folder"])),
        sha256=row["sha256"],
        recipe=row["recipe"],
        attempts=row["attempts"],
        delays=row["delays"],
        choice=choice,
    )


def _announced(row: sqlite3.Row) -> Announced:
    return Announced(
        job=row["id"],
        temp=Path(os.fsdecode(row["temp"])),
        target=Path(os.fsdecode(row["target"])),
        sha256=row["output_sha256"],
        inode=int(row["output_inode"]),
    )

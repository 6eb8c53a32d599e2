"""The journal's claim side: which queued jobs are taken next, and what is known of those that were."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.journal.disposals import Order
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
    worked_seconds: float = 0.0
    """For how long something was done for it in earlier tries that it has failed."""


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
    """Operations of whoever takes jobs, and of recovery when the daemon starts."""

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

    def _choice(self, job: int) -> str | None:
        rows = self._rows("SELECT recipe FROM choices WHERE job = ?", job)
        return rows[0][0] if rows else None


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
        worked_seconds=row["seconds"] or 0.0 if row["delays"] else 0.0,  # or it is how long a former dream took
    )


def _announced(row: sqlite3.Row) -> Announced:
    return Announced(
        job=row["id"],
        temp=Path(os.fsdecode(row["temp"])),
        target=Path(os.fsdecode(row["target"])),
        sha256=row["output_sha256"],
        inode=int(row["output_inode"]),
    )

"""The journal: what the daemon knows about every file and job, and the questions that people ask about it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from deepdream_daemon.journal.claims import COPIED, ClaimSide
from deepdream_daemon.journal.controls import ControlSide
from deepdream_daemon.journal.copies import CopySide
from deepdream_daemon.journal.deliveries import DeliveryRecord
from deepdream_daemon.journal.disposals import DisposalSide
from deepdream_daemon.journal.holds import HoldSide
from deepdream_daemon.journal.intake import IntakeSide
from deepdream_daemon.journal.left import LeftSide
from deepdream_daemon.journal.places import PlaceSide
from deepdream_daemon.journal.previews import PreviewSide
from deepdream_daemon.journal.requests import RequestSide
from deepdream_daemon.journal.retention import RetentionSide
from deepdream_daemon.journal.steps import StepSide
from deepdream_daemon.journal.store import NEVER
from deepdream_engine.errors import unknown

STATES = ("queued", "waiting", "running", "publishing", "done", "failed", "vanished")
"""``waiting`` is a queued job that was put off and is not due yet, or that waits for a file beside its picture."""

_AT_WORK = "state IN ('running', 'publishing')"
_ENDED = "state IN ('done', 'failed', 'vanished')"


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job as it stands, with everything that happened to it and where its dream was brought to.

    Times are unix times; without ``due`` it waits for a file to come. ``chosen_by`` is the plugin that chose its
    recipe, if one did. Lists of jobs have neither histories nor deliveries.
    """

    id: int
    key: str
    source: Path
    folder: Path
    recipe: str
    state: str
    attempts: int
    error: str | None
    advice: str | None
    output: Path | None
    created: float
    updated: float
    seconds: float | None
    due: float | None
    chosen_by: str | None = None
    history: tuple[tuple[float, str], ...] = ()
    deliveries: tuple[DeliveryRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """What was decided about a file when it looked as ``fingerprint`` says."""

    fingerprint: str
    job: int | None
    verdict: str


class Journal(
    IntakeSide,
    ClaimSide,
    StepSide,
    CopySide,
    ControlSide,
    DisposalSide,
    HoldSide,
    LeftSide,
    PlaceSide,
    PreviewSide,
    RequestSide,
    RetentionSide,
):
    """The whole journal. Open it with ``Journal.open(state)``, or with ``read_only=True`` to look only."""

    def counts(self) -> dict[str, int]:
        """Return how many jobs there are in each of :data:`STATES`."""
        with self._lock:
            counts = dict.fromkeys(STATES, 0)
            counts.update((row["state"], row["jobs"]) for row in self._rows("SELECT * FROM tally"))
            waiting = "SELECT count(*) FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due > ?"
            counts["waiting"] = self._rows(waiting, time.time())[0][0]
        counts["queued"] -= counts["waiting"]
        return counts

    def counts_below(self, folder: Path) -> dict[str, int]:
        """Count the jobs of the files in ``folder``, at any depth, in each state that any has."""
        name = os.fsencode(folder).rstrip(b"/")
        state = "CASE WHEN state = 'queued' AND due > ? THEN 'waiting' ELSE state END"
        rows = self._rows(
            f"SELECT {state} AS told, count(*) AS jobs FROM jobs INDEXED BY jobs_by_source"
            " WHERE source > ? AND source < ? GROUP BY told",
            time.time(),
            name + b"/",
            name + b"0",  # which is what follows "/"
        )
        return {row["told"]: row["jobs"] for row in rows}

    def is_anything_due(self) -> bool:
        """Tell whether a job of any folder might be claimed; asked several times a second, so it has to cost little."""
        sql = "SELECT 1 FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due <= ? LIMIT 1"
        return bool(self._rows(sql, time.time()))

    def at_work_in(self, folder: Path) -> int:
        """Return how many pictures of a watched folder are under way; files that are only copied are none."""
        sql = f"SELECT count(*) FROM jobs WHERE {_AT_WORK} AND folder = ? AND recipe <> ?"
        count: int = self._rows(sql, os.fsencode(folder), COPIED)[0][0]
        return count

    def running_in(self, folder: Path) -> list[int]:
        """Return which of those have announced nothing yet, whoever has claimed them."""
        sql = "SELECT id FROM jobs WHERE state IN ('running', 'publishing') AND state = 'running' AND folder = ?"
        return [row["id"] for row in self._rows(f"{sql} AND recipe <> ?", os.fsencode(folder), COPIED)]

    def queued_since(self) -> float | None:
        """Return when (unix time) the picture was queued that has been waiting for its first turn longest."""
        sql = "SELECT created FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due = 0 ORDER BY id LIMIT 1"
        rows = self._rows(sql)
        return rows[0][0] if rows else None

    def recent(self, state: str, n: int = 10) -> list[JobRecord]:
        """Return ``n`` jobs in ``state``, without their histories: those next in turn, or the latest that ended."""
        if state not in STATES:
            raise ValueError(unknown("state", state, STATES))
        if state in {"queued", "waiting"}:
            queued = "SELECT * FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND due"
            if state == "waiting":
                rows = self._rows(f"{queued} > ? ORDER BY due, id LIMIT ?", time.time(), n)
            else:  # those that were put off come first, as they are claimed
                rows = self._rows(f"{queued} > 0 AND due <= ? ORDER BY due, id LIMIT ?", time.time(), n)
                rows += self._rows(f"{queued} = 0 ORDER BY id LIMIT ?", n - len(rows))
            return [self._job(row) for row in rows]
        # The same words as the partial index has, or it is not used.
        group = _AT_WORK if state in {"running", "publishing"} else _ENDED
        sql = f"SELECT * FROM jobs WHERE {group} AND state = '{state}' ORDER BY updated DESC LIMIT ?"
        return [self._job(row) for row in self._rows(sql, n)]

    def failed_since(self, when: float, few: int = 100) -> Iterator[JobRecord]:
        """Yield the jobs that have failed since then (unix time), the oldest first."""
        sql = f"SELECT * FROM jobs INDEXED BY jobs_ended WHERE {_ENDED} AND state = 'failed' AND (updated, id) > (?, ?)"
        updated, last = when, -1
        while rows := self._rows(f"{sql} ORDER BY updated, id LIMIT ?", updated, last, few):
            updated, last = rows[-1]["updated"], rows[-1]["id"]
            yield from (self._job(row) for row in rows)

    def of_path(self, path: Path) -> list[JobRecord]:
        """Return the jobs of the file at ``path``, the latest first, with their histories."""
        rows = self._rows("SELECT * FROM jobs WHERE source = ? ORDER BY id DESC", os.fsencode(path))
        return [self._with_history(row) for row in rows]

    def of_output(self, path: Path) -> JobRecord | None:
        """Return the job that published the file at ``path``."""
        sql = "SELECT jobs.* FROM outputs JOIN jobs ON jobs.id = outputs.job WHERE outputs.path = ? LIMIT 1"
        rows = self._rows(sql, os.fsencode(path))
        return self._with_history(rows[0]) if rows else None

    def is_lone_output(self, path: Path) -> bool:
        """Tell whether the file at ``path`` was published by this daemon, for a job that is forgotten."""
        return bool(self._rows("SELECT 1 FROM outputs WHERE path = ? LIMIT 1", os.fsencode(path)))

    def moved_to(self, path: Path) -> JobRecord | None:
        """Return the job whose picture was moved to ``path`` when it was done."""
        sql = "SELECT jobs.* FROM disposals JOIN jobs ON jobs.id = disposals.job WHERE disposals.target = ?"
        rows = self._rows(f"{sql} AND disposals.state = 'done' LIMIT 1", os.fsencode(path))
        return self._with_history(rows[0]) if rows else None

    def find_by_key(self, key: str) -> JobRecord | None:
        """Return the job with this key, with its history."""
        rows = self._rows("SELECT * FROM jobs WHERE key = ?", key)
        return self._with_history(rows[0]) if rows else None

    def file(self, path: Path) -> FileRecord | None:
        """Return what was decided about the file at ``path`` when it was last looked at."""
        rows = self._rows(
            "SELECT fingerprint, job, verdict FROM files WHERE directory = ? AND name = ?",
            os.fsencode(path.parent),
            os.fsencode(path.name),
        )
        return FileRecord(**dict(rows[0])) if rows else None

    def history(self, path: Path) -> tuple[tuple[float, str], ...]:
        """Return everything that ever happened to the file at ``path``, the oldest first."""
        rows = self._rows("SELECT at, what, times FROM history WHERE source = ? ORDER BY id", os.fsencode(path))
        return _lines(rows)

    def _with_history(self, row: sqlite3.Row) -> JobRecord:
        sql = "SELECT at, what, times FROM history WHERE source = ? AND job = ? ORDER BY id"
        history = _lines(self._rows(sql, row["source"], row["id"]))
        return replace(self._job(row), history=history, deliveries=self.deliveries(row["id"]))

    def _job(self, row: sqlite3.Row) -> JobRecord:
        chosen = self._rows("SELECT plugin FROM choices WHERE job = ?", row["id"])
        return _record(row, chosen[0][0] if chosen else None)


def _lines(rows: Iterable[sqlite3.Row]) -> tuple[tuple[float, str], ...]:
    return tuple((at, what if times == 1 else f"{what} (the same again, {times} times)") for at, what, times in rows)


def _record(row: sqlite3.Row, chosen_by: str | None) -> JobRecord:
    waiting = row["state"] == "queued" and row["due"] > time.time()
    return JobRecord(
        id=row["id"],
        key=row["key"],
        source=Path(os.fsdecode(row["source"])),
        folder=Path(os.fsdecode(row["folder"])),
        recipe=row["recipe"],
        state="waiting" if waiting else row["state"],
        attempts=row["attempts"],
        error=row["error"],
        advice=row["advice"],
        output=Path(os.fsdecode(row["target"])) if row["target"] and row["state"] == "done" else None,
        created=row["created"],
        updated=row["updated"],
        seconds=row["seconds"],
        due=row["due"] if row["due"] < NEVER else None,
        chosen_by=chosen_by,
    )

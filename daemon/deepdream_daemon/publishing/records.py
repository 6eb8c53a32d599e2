"""The records of the quarantine that could not be written, as its disk was full or the daemon killed: the journal
knows since when any may be missing, and they are made up for once that is possible, by whichever daemon runs then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.journal.notes import Unrecorded
from deepdream_daemon.publishing import quarantine

log = structlog.get_logger("deepdream")

EARLIER_SECONDS = 60.0
"""A job fails at most so long before its record is written, or after."""


def record(journal: Journal, job: int, source: Path, facts: Mapping[str, object]) -> None:
    """Write the record of a job that has failed, or is about to be; if it cannot be written, it is later."""
    try:
        quarantine.write(journal.state, job, source, facts)
    except OSError as error:
        _note(journal, error)


def are_written(journal: Journal, noted: Container[float]) -> None:
    """The records are there that were ``noted`` (unix times) to be missing, with jobs that had failed from the start:
    forget that, unless others may be missing as well."""
    missing = journal.unrecorded()
    if missing is not None and not missing.why and missing.since in noted and missing.noted in noted:
        journal.note_unrecorded(None, missing)


def make_up(journal: Journal, seconds: float) -> None:
    """Write records that are missing, for up to so many seconds; the rest is for the next time. Raises the ``OSError``
    of a quarantine that cannot be written to, which is noted."""
    missing, now, until = journal.unrecorded(), time.time(), time.monotonic() + seconds
    if missing is None:
        return
    is_late = abs(now - missing.noted) > EARLIER_SECONDS  # otherwise there may be jobs that are about to fail
    if not (missing.why or is_late):
        return
    try:
        count = 0
        for job in journal.failed_since(missing.since - EARLIER_SECONDS):
            if quarantine.exists(journal.state, job.id, job.source):
                continue
            if count and time.monotonic() > until:
                journal.note_unrecorded(replace(missing, since=max(missing.since, job.updated)), missing)
                return
            quarantine.write(journal.state, job.id, job.source, _facts(job))
            count += 1
    except OSError as error:
        _note(journal, error, missing.noted)
        raise
    if missing.why:
        log.info("the quarantine has all its records again")
    journal.note_unrecorded(None if is_late else replace(missing, why=""), missing)


def troubles(journal: Journal) -> dict[str, str]:
    """Say why records are missing, if any are, with what to do about it."""
    missing = journal.unrecorded()
    if missing is None or not missing.why:
        return {}
    folder = repr(os.fspath(journal.state / quarantine.FOLDER))
    return {
        f"the quarantine {folder} cannot be written to: {missing.why}": (
            f"Let {folder} be a folder that the daemon may write to, with space on its disk; the records of what "
            "failed are then written by themselves. Until then: deepdream status."
        )
    }


def _note(journal: Journal, error: OSError, noted: float | None = None) -> None:
    missing, now = journal.unrecorded(), time.time()
    if missing is None or not missing.why:
        log.warning("the quarantine cannot be written to", error=str(error))
    since = now if missing is None else min(missing.since, now)
    found = Unrecorded(since=since, why=error.strerror or str(error), noted=noted or now)
    if found != missing:
        journal.note_unrecorded(found, missing)


def _facts(job: JobRecord) -> dict[str, object]:
    of_recipe = {} if job.recipe == COPIED else {"recipe": job.recipe}
    told = {"reason": job.error, "advice": job.advice, **of_recipe}
    return {**told, "attempts": max(1, job.attempts), "failed": job.updated}

"""The records of the quarantine that could not be written, as its disk was full or the daemon killed: the journal
knows since when any may be missing, and they are made up for once that is possible, by whichever daemon runs then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def expected(journal: Journal) -> Iterator[None]:
    """Jobs may be recorded as failed within, which notes that their records may be missing, and then have them."""
    before = journal.unrecorded()
    yield
    noted = journal.unrecorded()
    if before is None and noted is not None and not noted.why:
        journal.note_unrecorded(None, noted)


def make_up(journal: Journal) -> bool:
    """Write the records that are missing; return whether none is known to be."""
    missing, now = journal.unrecorded(), time.time()
    if missing is None:
        return True
    is_late = abs(now - missing.noted) > EARLIER_SECONDS  # otherwise there may be jobs that are about to fail
    if not (missing.why or is_late):
        return True
    try:
        for job in journal.failed_since(missing.since - EARLIER_SECONDS):
            if not quarantine.exists(journal.state, job.id, job.source):
                quarantine.write(journal.state, job.id, job.source, _facts(job))
    except OSError as error:
        _note(journal, error, missing.noted)
        return False
    if missing.why:
        log.info("the quarantine has all its records again")
    journal.note_unrecorded(None if is_late else replace(missing, why=""), missing)
    return True


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

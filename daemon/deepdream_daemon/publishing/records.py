"""The records of the quarantine that could not be written: the journal knows since when any are missing, so that they
are made up for once that is possible, by whichever daemon runs then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.publishing import quarantine

log = structlog.get_logger("deepdream")

EARLIER_SECONDS = 60.0
"""A job may have failed so long before its record is written, after the others that were decided with it."""


def record(journal: Journal, job: int, source: Path, facts: Mapping[str, object]) -> None:
    """Write the record of a job that has failed, or is about to be; if it cannot be written, it is later."""
    try:
        quarantine.write(journal.state, job, source, facts)
    except OSError as error:
        _note(journal, error)


def make_up(journal: Journal) -> bool:
    """Write the records that are missing; return whether none is missing any more."""
    missing = journal.unrecorded()
    if missing is None:
        return True
    since, _ = missing
    try:
        for job in journal.failed_since(since):
            if not quarantine.exists(journal.state, job.id, job.source):
                quarantine.write(journal.state, job.id, job.source, _facts(job))
    except OSError as error:
        _note(journal, error)
        return False
    journal.note_unrecorded(None)
    log.info("the quarantine has all its records again")
    return True


def troubles(journal: Journal) -> dict[str, str]:
    """Say why records are missing, if any are, with what to do about it."""
    missing = journal.unrecorded()
    if missing is None:
        return {}
    folder = repr(os.fspath(journal.state / quarantine.FOLDER))
    return {
        f"the quarantine {folder} cannot be written to: {missing[1]}": (
            f"Let {folder} be a folder that the daemon may write to, with space on its disk; the records of what "
            "failed are then written by themselves. Until then: deepdream status."
        )
    }


def _note(journal: Journal, error: OSError) -> None:
    missing, why = journal.unrecorded(), error.strerror or str(error)
    if missing is None:
        log.warning("the quarantine cannot be written to", error=str(error))
    before = time.time() - EARLIER_SECONDS
    since = before if missing is None else min(missing[0], before)
    if missing != (since, why):
        journal.note_unrecorded((since, why))


def _facts(job: JobRecord) -> dict[str, object]:
    of_recipe = {} if job.recipe == COPIED else {"recipe": job.recipe}
    return {"reason": job.error, "advice": job.advice, **of_recipe, "attempts": job.attempts, "failed": job.updated}

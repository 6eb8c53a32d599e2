"""Jobs that leave the pipeline without a dream: they have failed, or go back to the queue. The journal is told, later
if it cannot be now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import partial

import structlog

from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.pipeline.under_way import UnderWay

log = structlog.get_logger("deepdream")


class Leaving:
    """Lets go of jobs. Used by the pipeline's thread alone."""

    def __init__(
        self, journal: Journal, writes: LateWrites, tasks: UnderWay, outcomes: Outcomes, undecided: Undecided
    ) -> None:
        self._journal = journal
        self._write = writes.write
        self._tasks = tasks
        self._outcomes = outcomes
        self._undecided = undecided

    def end(self, task: Task, error: BaseException) -> None:
        """``error`` has ended the work at a job."""
        self._tasks.let_go(task)
        self._write(partial(self._conclude, task, error))

    def put_back(self, tasks: Iterable[Task], why: str) -> None:
        """Queue jobs again, with nothing used up."""
        jobs = []
        for task in tasks:
            self._tasks.let_go(task)
            jobs.append(task.claim.id)
        if jobs:
            self._write(partial(self._put_back, jobs, why))

    def put_back_running(self, why: str) -> None:
        """Put back also what has no task any more: saying what became of it failed. What others have claimed is
        theirs."""
        self._write(partial(self._put_back_running, why))

    def _conclude(self, task: Task, error: BaseException) -> None:
        try:
            out = self._journal.announced(task.claim.id)
            if out is None:
                self._outcomes.failed(task, error)
            else:  # it may be visible already
                log.warning("publishing was interrupted", job=out.job, path=str(task.claim.source), error=str(error))
                self._undecided.add(out, task.seconds)
        except (sqlite3.OperationalError, OSError):
            raise  # it is tried again
        except Exception:
            log.exception("what became of a job could not be told", job=task.claim.id, path=str(task.claim.source))
            self._outcomes.given_up(task, error)
        self._tasks.concluded([task.claim.id])

    def _put_back(self, jobs: list[int], why: str) -> None:
        self._journal.put_back(jobs, why)
        self._tasks.concluded(jobs)

    def _put_back_running(self, why: str) -> None:
        running, _ = self._journal.at_work()
        self._journal.put_back([job for job in running if job in self._tasks.ours], why)

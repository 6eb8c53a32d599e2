"""Guilt: what is said of a picture that ends the worker again and again, nobody else being in it. So may a driver that
is broken, with whatever picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from deepdream_daemon.pipeline.given_up import WorkerUnfit, kills_the_worker
from deepdream_daemon.pipeline.task import Task
from deepdream_engine.errors import EngineFault

log = structlog.get_logger("deepdream")

MOST_IN_A_ROW = 3
"""If more pictures than these end the worker, and none is dreamt between, it is not taken for the pictures' fault."""


class Guilt:
    """Counts the guilty in a row. Used by the pipeline's thread alone; the troubles may be asked from any."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._unfit: WorkerUnfit | None = None

    def judge(self, task: Task, reason: str) -> EngineFault:
        """Return what a picture fails with that has ended the worker; ``reason`` says how the worker ended."""
        log.error("found what ended the worker", job=task.claim.id, path=str(task.claim.source), reason=reason)
        self._in_a_row += 1
        if self._in_a_row > MOST_IN_A_ROW:
            self._unfit = WorkerUnfit(reason, self._in_a_row)
            return self._unfit
        task.claim = replace(task.claim, attempts=task.claim.attempts + task.deaths_alone - 1)  # one more is counted
        return kills_the_worker(task.claim.source, reason, task.deaths_alone)

    def forget(self) -> None:
        """There is a dream, so the worker can be relied on."""
        self._in_a_row, self._unfit = 0, None

    def troubles(self) -> Mapping[str, str]:
        """Say what is wrong with the worker, if anything, with what to do about it."""
        unfit = self._unfit
        return {} if unfit is None else {str(unfit): unfit.advice}

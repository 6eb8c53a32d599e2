"""What comes of the work at each station: the job goes on to the next, ends, or begins again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepdream_daemon.pipeline.film_orders import ToBeContinued
from deepdream_daemon.pipeline.gates import OutputUnavailable
from deepdream_daemon.pipeline.guilt import Guilt
from deepdream_daemon.pipeline.leaving import Leaving
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.standing_back import StandingBack
from deepdream_daemon.pipeline.stations import Stations
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.worker.died import PictureLost, WorkerDied
from deepdream_plugins.hosting.guarding import PluginFailure


class Results:
    """Implements :class:`~deepdream_daemon.pipeline.stations.Hears`. ``on_plugin_failure`` is called when a plugin may
    just have been disabled."""

    def __init__(
        self,
        stations: Stations,
        *,
        leaving: Leaving,
        standing_back: StandingBack,
        outcomes: Outcomes,
        guilt: Guilt,
        on_plugin_failure: Callable[[], None],
    ) -> None:
        self._stations = stations
        self._leaving = leaving
        self._standing_back = standing_back
        self._outcomes = outcomes
        self._guilt = guilt
        self._on_plugin_failure = on_plugin_failure

    def developed(self, task: Task, error: BaseException | None) -> None:
        """It was read and prepared."""
        if error is not None:
            self.failed(task, error)
        elif self._standing_back.ends_because:
            self._leaving.put_back([task], self._standing_back.ends_because)
        elif not self._stations.line.may_be_dreamt(task):
            self._stations.line.again([task])
        else:
            self._stations.engine.add(task)
            self._standing_back.for_gates()

    def dreamt(self, task: Task, outcome: Any) -> None:
        """The renderer has made a dream of it, or met an exception."""
        if isinstance(outcome, BaseException):
            self.failed(task, outcome)
        else:
            self._stations.engine.utilisation.warm()
            task.fraction, task.prepared, task.rendered = 1.0, None, outcome
            self._stations.deliver(task)

    def delivered(self, task: Task, output: Path | BaseException) -> None:
        """Its dream was published, or an exception kept it from that."""
        if isinstance(output, BaseException):
            self.failed(task, output)
            return
        self._guilt.forget()
        self._stations.tasks.let_go(task)
        self._stations.tasks.concluded([task.claim.id])
        self._outcomes.published(task, output)

    def failed(self, task: Task, error: BaseException) -> None:
        """The work at it has ended without a dream."""
        if isinstance(error, WorkerDied | PictureLost):
            self._lost(task, error)
            return
        if isinstance(error, ToBeContinued):
            self._stations.put_behind(task)
        self._stations.leave_out(task)
        try:
            if isinstance(error, OutputUnavailable):
                self._standing_back.close(task.folder, error)
        finally:  # whatever happens, the job ends
            self._leaving.end(task, error)
            if isinstance(error, PluginFailure):
                self._on_plugin_failure()

    def guilty(self, task: Task, reason: str) -> None:
        """It has ended the worker again and again."""
        self.failed(task, self._guilt.judge(task, reason))

    def _lost(self, task: Task, error: WorkerDied | PictureLost) -> None:
        """The worker that had this picture is gone."""
        if self._standing_back.ends_because:
            self._leaving.put_back([task], self._standing_back.ends_because)
        elif isinstance(error, PictureLost):
            self._stations.line.again([task])
        else:
            if not self._stations.line.is_on_trial:
                self._stations.line.again(self._stations.engine.take_back())
            self._stations.line.accuse(task, error)

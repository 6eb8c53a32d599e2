"""The line before the decoders: claimed jobs, the oldest first; when the worker has died, who may have done it."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.trial import Trial
from deepdream_daemon.pipeline.under_way import UnderWay
from deepdream_daemon.worker.died import WorkerDied

READ_SECONDS = 5.0
"""So long a trial waits for a picture that is being read."""


class Line:
    """Who is next. Used by the pipeline's thread alone. ``on_guilty(task, reason)`` hears who has ended the worker, and
    how it ended."""

    def __init__(self, under_way: UnderWay, on_guilty: Callable[[Task, str], None]) -> None:
        self._under_way = under_way
        self._on_guilty = on_guilty
        self._waiting: deque[Task] = deque()
        self._trial = Trial()
        self._called: deque[Task] = deque()
        """Those whose turn it is in the trial, and that no decoder has taken yet."""

    def __len__(self) -> int:
        """How many may be taken now."""
        return len(self._called if self._trial.is_on else self._waiting)

    @property
    def is_on_trial(self) -> bool:
        """Whether nobody but those whose turn it is may be in the worker."""
        return self._trial.is_on

    def add(self, task: Task) -> None:
        """Let a job wait that has just been claimed."""
        bisect.insort(self._waiting, task, key=_order)

    def again(self, tasks: Iterable[Task]) -> None:
        """Have jobs begin from their files, as if they had just been claimed."""
        again = [task for task in tasks if task in self._under_way]
        for task in again:
            self._under_way.begin_again(task)
        self._waiting = deque(sorted([*self._waiting, *again], key=_order))

    def take(self) -> Task:
        """Take who is next."""
        task = (self._called if self._trial.is_on else self._waiting).popleft()
        task.is_begun = True
        return task

    def take_back(self, wanted: Callable[[Task], object] = lambda _: True) -> list[Task]:
        """Give up those ``wanted`` of the ones that wait; suspects stay."""
        taken = [*filter(wanted, self._waiting)]
        self._waiting = deque(task for task in self._waiting if task not in taken)
        return taken

    def take_all_back(self) -> list[Task]:
        """Give up all, suspects too."""
        return [*self.take_back(), *self._end_trial()]

    # When the worker died

    def accuse(self, task: Task, death: WorkerDied) -> None:
        """The worker died while it was at work on ``task``. Those that were called with it, and not begun, are free."""
        self._under_way.begin_again(task)
        self._trial.accuse(task, death)
        self.again(self._called)
        self._called.clear()

    def leave_out(self, task: Task) -> None:
        """It has ended in another way."""
        self._trial.leave_out(task)
        for waiting in (self._waiting, self._called):
            if task in waiting:
                waiting.remove(task)

    def may_be_dreamt(self, task: Task) -> bool:
        """Whether ``task``, which has been decoded, need not stand back for those on trial."""
        return not task.stands_back and (not self._trial.is_on or self._trial.has_called(task))

    def go_on(self) -> None:
        """Call the next suspects, once nobody is in the worker any more; say who is guilty, if that is known.

        Pictures whose disk does not give them for long are not waited for: they begin again when they come, suspects or
        not, and may be accused anew.
        """
        if not self._trial.is_on or self._called:
            return
        begun = self._under_way.begun()
        if not all(task.has_read_for(READ_SECONDS) for task in begun):
            return
        going_on = [task for task in begun if not task.stand_back()]
        if going_on:
            return
        verdict = self._trial.judge()
        self.again(verdict.free)
        if verdict.guilty is not None:
            self._on_guilty(verdict.guilty, self._trial.last_reason)
        self._called.extend(self._trial.call())

    def _end_trial(self) -> list[Task]:
        suspects = [*self._trial.dismiss(), *self._called]
        self._called.clear()
        return suspects


def _order(task: Task) -> Any:
    return task.order

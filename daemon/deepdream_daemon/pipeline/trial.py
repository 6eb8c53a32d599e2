"""The trial: which of several pictures ends the worker, found with few passes, and none of the others harmed.

When the worker dies, the pictures that it was at work on are suspects. They are begun again group by group, nobody else
being in the worker: the first half of them, and if the worker outlives that, it was one of the second, which is halved
without a try. Whoever is left alone and ends the worker again has another try, and is then guilty. That explains the
first death, so all that are still suspected are free. One among 32 costs at most 8 more passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.worker.died import WorkerDied

TRIES_ALONE = 2


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a death has shown: who is ``guilty``, if that is known, and who is ``free`` of suspicion."""

    guilty: Task | None = None
    free: Sequence[Task] = ()


@dataclass(eq=False)
class _Group:
    tasks: list[Task]
    is_rest: bool = False
    """Whether it is what remains of a group that has ended the worker, when its first half has not."""


class Trial:
    """Keeps the suspects. Used by the pipeline's thread alone; tasks that are here are not begun."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()
        self._accused: dict[Task, WorkerDied] = {}
        self._called: list[Task] = []
        self.last_reason = ""
        """How the worker ended the last time."""

    @property
    def is_on(self) -> bool:
        """Whether nobody may be in the worker but those that are called."""
        return bool(self._groups or self._accused or self._called)

    def accuse(self, task: Task, death: WorkerDied) -> None:
        """The worker died while it was at work on ``task``, which will be begun again."""
        self._accused[task] = death
        self.last_reason = death.reason

    def call(self) -> list[Task]:
        """Return those who are tried next, when nobody is in the worker any more; none if the trial is over.

        What came of those who were called before must have been told by :meth:`judge`.
        """
        while self._groups:
            group = self._groups.popleft()
            if group.is_rest and len(group.tasks) > 1:
                self._halve(group.tasks)
                continue
            if group.tasks:
                self._called = group.tasks
                return list(group.tasks)
        return []

    def judge(self) -> Verdict:
        """Say what follows, when nobody is in the worker any more: from the death of the worker, or from its life."""
        accused, self._accused = self._accused, {}
        self._called = []
        if not accused:
            return Verdict()
        if self._groups:
            self._groups[0].is_rest = False  # it was another half, this time, that ended the worker
        suspects = sorted(accused, key=lambda task: task.order)
        if len(suspects) > 1:
            self._halve(suspects)
            return Verdict()
        suspect, death = next(iter(accused.items()))
        # With pictures of other works in the same worker, which end soon, it shows nothing.
        suspect.deaths_alone += death.suspects == 1
        if suspect.deaths_alone >= TRIES_ALONE:
            return Verdict(guilty=suspect, free=self.dismiss())
        self._groups.appendleft(_Group([suspect]))
        return Verdict()

    def has_called(self, task: Task) -> bool:
        """Tell whether it is the turn of ``task``."""
        return task in self._called

    def dismiss(self) -> list[Task]:
        """End the trial: return all who are still suspected."""
        free = [task for group in self._groups for task in group.tasks] + list(self._accused)
        self._groups.clear()
        self._accused.clear()
        self._called.clear()
        return free

    def leave_out(self, task: Task) -> None:
        """It has ended in another way."""
        for group in self._groups:
            group.tasks = [each for each in group.tasks if each is not task]
        self._accused.pop(task, None)

    def _halve(self, tasks: Sequence[Task]) -> None:
        middle = len(tasks) // 2
        self._groups.appendleft(_Group(list(tasks[middle:]), is_rest=True))
        self._groups.appendleft(_Group(list(tasks[:middle])))

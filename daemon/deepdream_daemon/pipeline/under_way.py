"""The jobs that a pipeline has claimed and not ended, and the room in memory that they have taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.running.snapshot import Active


class UnderWay:
    """Changed by the pipeline's thread alone; :meth:`active` may be asked for from any."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._tasks: dict[int, Task] = {}
        self._ours: set[int] = set()
        self._given_up: set[Task] = set()
        """No longer under way, but in the hands of a thread: what they keep is in memory until that comes back."""

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._tasks.values()))

    def __contains__(self, task: object) -> bool:
        return isinstance(task, Task) and self._tasks.get(task.claim.id) is task

    def add(self, claim: Claim, folder: FolderSettings) -> Task:
        """Take a job that has been claimed."""
        task = self._tasks[claim.id] = Task(claim, folder)
        self._ours.add(claim.id)
        return task

    def let_go(self, task: Task) -> None:
        """Forget a job that has ended or gone back, with all that it keeps in memory."""
        if task in self:
            del self._tasks[task.claim.id]
            task.give_up()
            if task.is_in_hands:
                self._given_up.add(task)
            else:
                self._empty(task)

    def hand_out(self, task: Task) -> Task:
        """A thread beside the engine is about to work at ``task``."""
        task.is_in_hands = True
        return task

    def come_back(self, task: Task) -> bool:
        """That thread has done what it does; tell whether the job is still under way."""
        task.is_in_hands = False
        if task in self._given_up:
            self._given_up.remove(task)
            self._empty(task)
        return task in self

    def begin_again(self, task: Task) -> None:
        """Have a job begin from its file once more."""
        task.begin_again()
        self._empty(task)

    def _empty(self, task: Task) -> None:
        task.prepared = task.rendered = None
        megapixels, task.megapixels = task.megapixels, 0.0
        self._room.give(megapixels)

    def concluded(self, jobs: Iterable[int]) -> None:
        """The journal knows what has become of these."""
        self._ours.difference_update(jobs)

    @property
    def ours(self) -> frozenset[int]:
        """The jobs that were claimed here, and of which the journal may still say that they run."""
        return frozenset(self._ours)

    def begun(self) -> list[Task]:
        """Return what is in the worker or on its way there."""
        return [task for task in self._tasks.values() if task.is_begun]

    @property
    def is_any_given_up(self) -> bool:
        """Whether a thread still works at something that is no longer under way."""
        return bool(self._given_up)

    def in_folder(self, folder: Path) -> set[int]:
        """Return which jobs there are of a watched folder."""
        return {job for job, task in self._tasks.items() if task.claim.folder == folder}

    def overdue(self, limit_seconds: float) -> list[Task]:
        """Return those for which more than ``limit_seconds`` have been worked."""
        return [task for task in self._tasks.values() if task.worked_seconds > limit_seconds]

    def active(self) -> tuple[Active, ...]:
        """Return what is under way, as others are told of it."""
        return tuple(
            Active(
                job=task.claim.id,
                path=task.claim.source,
                recipe=task.claim.recipe,
                stage=task.stage,
                fraction=task.fraction,
                seconds=task.seconds,
                detail=task.detail if task.stage == "dreaming" else "",
            )
            for task in list(self._tasks.values())
        )

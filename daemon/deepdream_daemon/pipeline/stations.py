"""Where a claimed job may be: in the line, with a decoder, at the engine, with a finisher; how these are kept busy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Protocol

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.engine_room import LINGER_SECONDS, EngineRoom, Post
from deepdream_daemon.pipeline.line import Line
from deepdream_daemon.pipeline.pools import Pools
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.task import FOR_MEMORY, Task
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.pipeline.under_way import UnderWay

TRIAL_LINGER_SECONDS = 5.0
"""How long a device waits for the rest of a group that is tried, which shall be tried in one run."""


class Hears(Protocol):
    """Hears, in the pipeline's thread, what came of a job at a station: the next step is its business."""

    def developed(self, task: Task, error: BaseException | None) -> None: ...
    def dreamt(self, task: Task, outcome: Any) -> None: ...
    def delivered(self, task: Task, output: Path | BaseException) -> None: ...
    def guilty(self, task: Task, reason: str) -> None: ...


class Stations:
    """Has jobs worked at, and lets nobody hear of those that were given up meanwhile. Used by the pipeline's thread
    alone; ``hears`` is set before anything is added."""

    hears: Hears

    def __init__(
        self,
        stages: Stages,
        renderer: Renderer,
        executor: Executor,
        *,
        room: Room,
        max_batch: int,
        telling: Telling,
        post: Post,
    ) -> None:
        self.tasks = UnderWay(room)
        self.line = Line(self.tasks, self._guilty)
        self.pools = Pools(stages, post)
        self.engine = EngineRoom(
            renderer,
            executor,
            max_batch=max_batch,
            post=post,
            on_dreamt=self._dreamt,
            on_preview=self._previewed,
            on_begun=telling.started,
            on_progress=telling.progress,
        )
        self._max_batch = max_batch
        self._decoding: set[Task] = set()
        self._places: dict[int, int] = {}

    @property
    def free(self) -> int:
        """How many more jobs are worth claiming."""
        if self.line.is_on_trial:
            return 0
        return self._max_batch * (self.engine.devices + 1) + self.pools.size - len(self.tasks)

    def add(self, claim: Claim, folder: FolderSettings) -> None:
        """Take a job that has been claimed."""
        task = self.tasks.add(claim, folder)
        task.place = self._places.pop(claim.id, None)
        self.line.add(task)

    def feed(self) -> None:
        """Keep the decoders and the devices busy; decoders wait by themselves until there is room in memory."""
        self.line.go_on()
        while len(self.line) and len(self._decoding) < self.pools.size:
            task = self.tasks.hand_out(self.line.take())
            self._decoding.add(task)
            self.pools.develop(task, self._developed)
        more = any(task.is_begun for task in self._decoding) or len(self.line) > 0
        linger = TRIAL_LINGER_SECONDS if self.line.is_on_trial else LINGER_SECONDS
        self.engine.start(more_coming=more, linger_seconds=linger)
        self.engine.utilisation.note_work(bool(len(self.tasks)))

    @property
    def is_any_waiting(self) -> bool:
        """Whether any job waits for a device or for memory."""
        return self.engine.is_any_waiting or any(task.stage == FOR_MEMORY for task in self.tasks)

    def put_behind(self, task: Task) -> None:
        """When this film is claimed again, let it come behind what is under way now."""
        self._places[task.claim.id] = max((other.claim.id for other in self.tasks), default=task.claim.id)

    def deliver(self, task: Task) -> None:
        """Have a dream finished and published."""
        task.stage = "waiting to be finished"
        self.pools.deliver(self.tasks.hand_out(task), self._delivered)

    def take_back(self, wanted: Callable[[Task], object] = lambda _: True) -> list[Task]:
        """Give up those ``wanted`` that have not begun to be dreamt; suspects of the line stay."""
        return [*self.line.take_back(wanted), *self.engine.take_back(wanted)]

    def take_all_back(self) -> list[Task]:
        """Give up all that have not begun to be dreamt."""
        return [*self.line.take_all_back(), *self.engine.take_back()]

    def leave_out(self, task: Task) -> None:
        """Have nothing more done for a job that is ending."""
        self.line.leave_out(task)
        self.engine.leave_out(task)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is worked at, not even what was given up."""
        return not (len(self.tasks) or self.tasks.is_any_given_up)

    def _guilty(self, task: Task, reason: str) -> None:
        self.hears.guilty(task, reason)

    def _developed(self, task: Task, error: BaseException | None) -> None:
        self._decoding.discard(task)
        if self.tasks.come_back(task):
            self.hears.developed(task, error)

    def _dreamt(self, task: Task, outcome: Any) -> None:
        if task in self.tasks:
            self.hears.dreamt(task, outcome)

    def _previewed(self, task: Task, rendered: Any) -> None:
        if task in self.tasks:
            self.pools.preview(task, rendered)

    def _delivered(self, task: Task, output: Path | BaseException) -> None:
        if self.tasks.come_back(task) or isinstance(output, Path):  # what is visible is told of, whatever was thought
            self.hears.delivered(task, output)

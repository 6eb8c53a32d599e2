"""The devices at work: each has a run, fed with pictures until none is left; what becomes of a run that fails.

When a run raises, the pictures that were in flight are suspects: they run again by themselves, in halves, until the
one that did it is alone, so its neighbours lose at most a few passes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from deepdream_daemon.failpoints import hit
from deepdream_daemon.pipeline.feed import Feed, Waiting
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.utilisation import Utilisation
from deepdream_engine.errors import Cancelled, EngineFault

LINGER_SECONDS = 0.25
"""How long an idle device waits for pictures that are being decoded, so that they start together."""

Post = Callable[[Callable[[], None]], None]
Dreamt = Callable[[Task, Any], None]
Hear = Callable[[Task], None]


class EngineRoom:
    """Keeps every device busy. All but ``_work`` runs in the pipeline's thread.

    ``on_dreamt(task, outcome)`` hears of each picture once, in the pipeline's thread: what the renderer
    made of it, or the exception that it met. ``on_begun`` and ``on_progress`` hear of it in the device's thread, and
    must not block.
    """

    def __init__(
        self,
        renderer: Renderer,
        executor: Executor,
        *,
        max_batch: int,
        post: Post,
        on_dreamt: Dreamt,
        on_begun: Hear,
        on_progress: Hear,
    ) -> None:
        self._renderer = renderer
        self._executor = executor
        self._max_batch = max_batch
        self._post = post
        self._on_dreamt = on_dreamt
        self._on_begun = on_begun
        self._on_progress = on_progress
        self._devices = max(1, len(renderer.devices))
        self._running = 0
        self._waiting: Waiting[Task] = Waiting()
        self._suspects: deque[list[Task]] = deque()
        self._cancel = threading.Event()
        self.utilisation = Utilisation(lambda: renderer.busy_seconds, self._devices)

    def add(self, task: Task) -> None:
        """Let a prepared picture wait; a run that it fits in may take it at once."""
        task.stage = "waiting for the engine"
        task.ready = time.monotonic()
        self._waiting.add(task)

    def start(self, *, more_coming: bool) -> None:
        """Give every idle device a run, beginning with the oldest picture."""
        while self._running < self._devices and self._suspects:
            self._start(
                Feed(self._waiting, None, self._max_batch, first=self._suspects.popleft(), on_begun=self._begun)
            )
        if self._running < self._devices and (group := self._waiting.of_oldest()):
            lingering = time.monotonic() - min(task.ready for task in group) < LINGER_SECONDS
            if not (more_coming and len(group) < self._max_batch and lingering):
                key = None if group[0].prepared is None else group[0].prepared.batch_key
                # One at a time: how many pictures it leaves for the next device shows when it has taken its own.
                self._start(Feed(self._waiting, key, self._max_batch, on_begun=self._begun))

    def take_back(self, wanted: Callable[[Task], object] = lambda _: True) -> list[Task]:
        """Give up those ``wanted`` that have not begun."""
        back = [*self._waiting.take_back(wanted), *(task for half in self._suspects for task in half if wanted(task))]
        halves = ([task for task in half if task not in back] for half in self._suspects)
        self._suspects = deque(half for half in halves if half)
        return back

    def cancel(self) -> None:
        """Ask the runs to stop at the next step."""
        self._cancel.set()

    def _start(self, feed: Feed[Task]) -> None:
        self._running += 1
        try:
            self._executor.submit(self._work, feed)
        except RuntimeError as error:  # the executor is broken or shut
            self._ended(feed, error)

    def _work(self, feed: Feed[Task]) -> None:
        """Runs in the executor."""

        def on_progress(index: int, fraction: float) -> None:
            if (task := feed.progress(index, fraction)) is not None:
                self._on_progress(task)

        error: BaseException | None = None
        try:
            hit("dream.begun")
            outcomes = self._renderer.dream(feed, on_progress=on_progress, should_stop=self._cancel.is_set)
            for index, outcome in outcomes:
                hit("dream.finished")
                self._post(partial(self._on_dreamt, feed.back(index), outcome))
                del outcome  # not to be kept while the next ones are dreamt
        except BaseException as raised:  # noqa: BLE001  (it is a verdict on the run, and judged there)
            error = raised
        self._post(partial(self._ended, feed, error))

    def _ended(self, feed: Feed[Task], error: BaseException | None) -> None:
        self._running -= 1
        left = feed.left()
        if isinstance(error, Cancelled) or len(left) == 1 or error is None:
            for task in left:
                self._on_dreamt(task, error or EngineFault("The engine gave nothing back for this picture."))
        elif left:
            middle = len(left) // 2
            self._suspects += [left[:middle], left[middle:]]
        elif not feed.has_begun:  # it would be started again for ever
            for task in self._waiting.take_back(set(self._waiting.of_oldest()).__contains__):
                self._on_dreamt(task, error)

    def _begun(self, task: Task) -> None:
        task.stage, task.fraction = "dreaming", 0.0
        self._on_begun(task)

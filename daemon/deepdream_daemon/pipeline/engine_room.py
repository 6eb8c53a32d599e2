"""Batches in the engine: which prepared pictures go together, and what becomes of a batch that fails.

A batch that raises is halved until the picture that did it is alone, so its neighbours lose at most a few
passes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from deepdream_daemon.failpoints import hit
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.stages import Task
from deepdream_engine.errors import Cancelled, EngineFault

LINGER_SECONDS = 0.25
"""How long a batch that is not full waits for pictures that are being decoded."""

Post = Callable[[Callable[[], None]], None]
Dreamt = Callable[[Task, Any], None]


class EngineRoom:
    """Keeps every device busy with full batches. All but ``_work`` runs in the pipeline's thread.

    ``on_dreamt(task, outcome)`` hears of each picture once, in the pipeline's thread: what the renderer
    made of it, or the exception that it met.
    """

    def __init__(self, renderer: Renderer, executor: Executor, max_batch: int, post: Post, on_dreamt: Dreamt) -> None:
        self._renderer = renderer
        self._executor = executor
        self._max_batch = max_batch
        self._post = post
        self._on_dreamt = on_dreamt
        self._free = max(1, len(renderer.devices))
        self._ready: list[Task] = []
        self._halves: deque[list[Task]] = deque()
        self._cancel = threading.Event()

    def add(self, task: Task) -> None:
        """Queue a prepared picture."""
        task.stage = "waiting for the engine"
        task.ready = time.monotonic()
        self._ready.append(task)

    def start_batches(self, *, more_coming: bool) -> None:
        """Give every free device a batch: the oldest picture and those that may go with it."""
        while self._free and (self._halves or self._ready):
            if self._halves:
                self._start(self._halves.popleft())
                continue
            oldest = min(self._ready, key=lambda task: task.claim.id)
            key = _key(oldest)
            batch = sorted((t for t in self._ready if _key(t) == key), key=lambda task: task.claim.id)
            batch = batch[: self._max_batch]
            lingering = time.monotonic() - min(task.ready for task in batch) < LINGER_SECONDS
            if more_coming and len(batch) < self._max_batch and lingering:
                return
            self._ready = [task for task in self._ready if task not in batch]
            self._start(batch)

    def take_back(self, wanted: Callable[[Task], object] = lambda _: True) -> list[Task]:
        """Give up those ``wanted`` that have not begun."""
        waiting = [task for task in (*self._ready, *(task for half in self._halves for task in half)) if wanted(task)]
        self._ready = [task for task in self._ready if task not in waiting]
        halves = ([task for task in half if task not in waiting] for half in self._halves)
        self._halves = deque(half for half in halves if half)
        return waiting

    def cancel(self) -> None:
        """Ask the batches that run to stop at the next step."""
        self._cancel.set()

    def _start(self, batch: list[Task]) -> None:
        self._free -= 1
        for task in batch:
            task.stage, task.fraction = "dreaming", 0.0
        try:
            self._executor.submit(self._work, batch)
        except RuntimeError as error:  # the executor is broken or shut
            self._ended(batch, error)

    def _work(self, batch: Sequence[Task]) -> None:
        """Runs in the executor."""
        left = dict(enumerate(batch))

        def on_progress(index: int, fraction: float) -> None:
            batch[index].fraction = fraction

        error: BaseException | None = None
        try:
            hit("dream.begun")
            prepared = [task.prepared for task in batch]
            for index, outcome in self._renderer.dream(
                prepared, on_progress=on_progress, should_stop=self._cancel.is_set
            ):
                hit("dream.finished")
                self._post(partial(self._on_dreamt, left.pop(index), outcome))
        except BaseException as raised:  # noqa: BLE001  (it is a verdict on the batch, and judged there)
            error = raised
        self._post(partial(self._ended, list(left.values()), error))

    def _ended(self, left: list[Task], error: BaseException | None) -> None:
        self._free += 1
        if isinstance(error, Cancelled) or len(left) == 1 or error is None:
            for task in left:
                self._on_dreamt(task, error or EngineFault("The engine gave nothing back for this picture."))
        elif left:
            middle = len(left) // 2
            self._halves += [left[:middle], left[middle:]]


def _key(task: Task) -> object:
    return None if task.prepared is None else task.prepared.batch_key

"""The devices at work: each has a run, fed with pictures until none is left; what becomes of a run that fails.

When a run raises, the pictures that were in flight are suspects: they run again by themselves, in halves, until the
one that did it is alone, so its neighbours lose at most a few passes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from deepdream_daemon.failpoints import hit
from deepdream_daemon.pipeline.feed import Feed, Waiting
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.utilisation import Utilisation
from deepdream_daemon.worker.died import PictureLost, WorkerDied
from deepdream_engine.errors import Cancelled, EngineFault

LINGER_SECONDS = 0.25
"""How long an idle device waits for pictures that are being decoded, so that they start together."""
MOST_DEVICES = 64
"""Threads that an executor may need for runs; idle ones are never started."""

Post = Callable[[Callable[[], None]], None]
Dreamt = Callable[[Task, Any], None]
Hear = Callable[[Task], None]


class _Run:
    """A device at work on what ``feed`` has; ``left_out`` are given up, and the run ends for their sake."""

    def __init__(self, feed: Feed[Task]) -> None:
        self.feed = feed
        self.left_out: set[Task] = set()


class EngineRoom:
    """Keeps every device busy. All but ``_work`` runs in the pipeline's thread.

    ``on_dreamt(task, outcome)`` hears of each picture once, in the pipeline's thread: what the renderer
    made of it, or the exception that it met. ``on_preview(task, rendered)`` hears there what it is after its first
    octave. ``on_begun`` and ``on_progress`` hear of it in the device's thread, and must not block.
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
        on_preview: Dreamt = lambda _task, _rendered: None,
    ) -> None:
        self._renderer = renderer
        self._executor = executor
        self._max_batch = max_batch
        self._post = post
        self._on_dreamt = on_dreamt
        self._on_begun = on_begun
        self._on_progress = on_progress
        self._on_preview = on_preview
        self._runs: list[_Run] = []
        self._waiting: Waiting[Task] = Waiting()
        self._suspects: deque[list[Task]] = deque()
        self._cancel = threading.Event()
        self.utilisation = Utilisation(lambda: renderer.busy_seconds, self.devices)

    @property
    def devices(self) -> int:
        """How many runs there are at once; one until the renderer knows better."""
        return max(1, len(self._renderer.devices))

    def add(self, task: Task) -> None:
        """Let a prepared picture wait; a run that it fits in may take it at once."""
        task.stage = "waiting for the engine"
        task.ready = time.monotonic()
        self._waiting.add(task)

    def start(self, *, more_coming: bool, linger_seconds: float = LINGER_SECONDS) -> None:
        """Give every idle device a run, beginning with the oldest picture."""
        devices = self.utilisation.devices = self.devices
        while len(self._runs) < devices and self._suspects:
            self._start(self._feed(None, first=self._suspects.popleft()))
        if len(self._runs) < devices and (group := self._waiting.of_oldest()):
            lingering = time.monotonic() - min(task.ready for task in group) < linger_seconds
            if not (more_coming and len(group) < self._max_batch and lingering):
                key = None if group[0].prepared is None else group[0].prepared.batch_key
                # One at a time: how many pictures it leaves for the next device shows when it has taken its own.
                self._start(self._feed(key))

    @property
    def is_any_waiting(self) -> bool:
        """Whether any picture waits for a device."""
        return len(self._waiting) > 0 or bool(self._suspects)

    def take_back(self, wanted: Callable[[Task], object] = lambda _: True) -> list[Task]:
        """Give up those ``wanted`` that have not begun."""
        back = [*self._waiting.take_back(wanted), *(task for half in self._suspects for task in half if wanted(task))]
        halves = ([task for task in half if task not in back] for half in self._suspects)
        self._suspects = deque(half for half in halves if half)
        return back

    def leave_out(self, task: Task) -> None:
        """Dream ``task`` no further. The others of its run begin again, since no run ends for one alone."""
        self.take_back(lambda other: other is task)
        for run in self._runs:
            if task in run.feed.flying():
                run.left_out.add(task)

    def cancel(self) -> None:
        """Ask the runs to stop at the next step."""
        self._cancel.set()

    def _feed(self, key: Hashable, first: Sequence[Task] | None = None) -> Feed[Task]:
        return Feed(
            self._waiting,
            key,
            self._max_batch,
            first=first,
            on_begun=self._begun,
            on_preview=lambda task, rendered: self._post(partial(self._on_preview, task, rendered)),
        )

    def _start(self, feed: Feed[Task]) -> None:
        run = _Run(feed)
        self._runs.append(run)
        try:
            self._executor.submit(self._work, run)
        except (RuntimeError, OSError) as error:  # the executor is broken or shut, or has no thread
            self._ended(run, error)

    def _work(self, run: _Run) -> None:
        """Runs in the executor."""
        feed = run.feed

        def should_stop() -> bool:
            return self._cancel.is_set() or bool(run.left_out)

        def on_progress(index: int, fraction: float, detail: str = "", /) -> None:
            if (task := feed.progress(index, fraction)) is not None:
                if detail:
                    task.tell_detail(detail)
                self._on_progress(task)

        error: BaseException | None = None
        try:
            hit("dream.begun")
            outcomes = self._renderer.dream(feed, on_progress=on_progress, should_stop=should_stop)
            for index, outcome in outcomes:
                hit("dream.finished")
                self._post(partial(self._on_dreamt, feed.back(index), outcome))
                del outcome  # not to be kept while the next ones are dreamt
        except BaseException as raised:  # noqa: BLE001  (it is a verdict on the run, and judged there)
            error = raised
        self._post(partial(self._ended, run, error))

    def _ended(self, run: _Run, error: BaseException | None) -> None:
        self._runs.remove(run)
        feed = run.feed
        flying = [task for task in feed.flying() if task not in run.left_out]
        left = [*flying, *feed.unbegun()]
        if isinstance(error, WorkerDied):
            for task in left:
                self._on_dreamt(task, error if task in flying else PictureLost())
        elif run.left_out and isinstance(error, Cancelled) and not self._cancel.is_set():
            for task in left:
                self._on_dreamt(task, PictureLost())
        elif isinstance(error, Cancelled) or len(left) == 1 or error is None:
            for task in left:
                self._on_dreamt(task, error or EngineFault("The engine gave nothing back for this picture."))
        elif left:
            middle = len(left) // 2
            self._suspects += [left[:middle], left[middle:]]
        elif not feed.has_begun:  # it would be started again for ever
            for task in self._waiting.take_back(set(self._waiting.of_oldest()).__contains__):
                self._on_dreamt(task, error)

    def _begun(self, task: Task) -> None:
        task.stage, task.fraction, task.dreamt_since = "dreaming", 0.0, time.monotonic()
        self._on_begun(task)

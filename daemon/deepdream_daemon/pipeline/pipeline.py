"""The pipeline: jobs are claimed oldest first, decoded, dreamt in batches and published, a bounded number
at a time.

One thread, :meth:`Pipeline.run`, decides everything and alone says what becomes of a job; pools do the
work and post what came of it to that thread.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.pipeline.engine_room import EngineRoom
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.stages import Stages, Task
from deepdream_daemon.pipeline.threads import DaemonThreads
from deepdream_daemon.publishing.publish import CalledOff
from deepdream_daemon.publishing.recovery import resolve
from deepdream_daemon.snapshot import Active

log = structlog.get_logger("deepdream")

DECODERS = 2
FINISHERS = 2
MAX_MEGAPIXELS = 128.0
"""Nothing more is decoded while this much is in memory; a larger picture comes alone."""
IDLE_SECONDS = 0.2
MEND_SECONDS = 1.0
CANCEL_SECONDS = 2.0
WIND_DOWN_SECONDS = 14.0
"""The whole of it, also what the daemon waits for after the pipeline: a second less than promised."""
FIRST_DECIDE_SECONDS = 1.0
LONGEST_DECIDE_SECONDS = 30.0
STOPS = "the daemon stops"


@dataclass(eq=False)
class Undecided:
    """An announced output that may be visible or not, and why that cannot be found out at the moment."""

    out: Announced
    seconds: float = 0.0
    error: str = ""
    delay_seconds: float = FIRST_DECIDE_SECONDS
    due: float = 0.0


class Pipeline:
    """Works until told to stop, then winds down: what runs may finish for a while, the rest is queued
    again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        journal: Journal,
        stages: Stages,
        renderer: Renderer,
        roots: Roots,
        executor: Executor,
        on_changed: Callable[[Path], None],
    ) -> None:
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._journal = journal
        self._stages = stages
        self._roots = roots
        self._gates = Gates(journal, self._write)
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._decoders = DaemonThreads(DECODERS, "decode")
        self._finishers = DaemonThreads(FINISHERS, "finish")
        self._executor = executor
        self._engine = EngineRoom(renderer, executor, settings.engine.max_batch, self._events.put, self._dreamt)
        self._max_tasks = settings.engine.max_batch * (max(1, len(renderer.devices)) + 1) + DECODERS
        self._tasks: dict[int, Task] = {}
        self._claimed: deque[Task] = deque()
        self._decoding = 0
        self._stopping = False
        self._undecided: list[Undecided] = []
        self._deadline = float("inf")
        self._unwritten: deque[Callable[[], None]] = deque()
        self._mend_at = 0.0
        self.outcomes = Outcomes(settings, journal, on_changed)

    def run(self, stop: threading.Event, undecided: Iterable[Announced] = ()) -> None:
        """Work until ``stop``; ``undecided`` are outputs left from before. No error ends the loop."""
        self._undecided += map(Undecided, undecided)
        while not stop.is_set():
            try:
                self._tend()
                if not stop.is_set():
                    self._claim()
                self._feed()
                self._handle_events(IDLE_SECONDS)
            except Exception:
                log.exception("the pipeline met an error, it goes on")
                stop.wait(MEND_SECONDS)
        self._wind_down()

    def wake(self) -> None:
        """There may be new jobs."""
        self._events.put(lambda: None)

    def active(self) -> tuple[Active, ...]:
        """Return what is under way; safe to call from any thread."""
        return tuple(
            Active(
                job=task.claim.id,
                path=task.claim.source,
                recipe=task.claim.recipe,
                stage=task.stage,
                fraction=task.fraction,
                seconds=task.seconds,
            )
            for task in list(self._tasks.values())
        )

    def troubles(self) -> list[str]:
        """Say what holds the pipeline up, if anything."""
        full = ["the journal cannot be written to; it is tried again"] if self._unwritten else []
        undecided = [
            f"whether the output {os.fspath(one.out.target)!r} was published cannot be found out: {one.error};"
            " it is tried again"
            for one in list(self._undecided)
            if one.error
        ]
        return self._gates.reasons() + undecided + full

    def seconds_left(self) -> float:
        """Return how much of the wind-down's time is left."""
        return max(0.0, self._deadline - time.monotonic())

    # Each turn of the loop

    def _tend(self) -> None:
        """Try again what could not be written, decided or published."""
        now = time.monotonic()
        if now < self._mend_at:
            return
        self._mend_at = now + MEND_SECONDS
        for _ in range(len(self._unwritten)):
            self._write(self._unwritten.popleft())
        for one in [one for one in self._undecided if one.due <= now]:
            self._decide(one)
        for folder, reason in self._gates.to_probe():
            self._finishers.submit(self._probe, folder, reason)

    def _claim(self) -> None:
        room = self._max_tasks - len(self._tasks)
        if room <= 0 or self._unwritten:
            return
        open_folders = [
            path
            for path, folder in self._folders.items()
            if not self._gates.reason(folder, folder.output) and self._roots.is_there(path)
        ]
        if not open_folders:
            return
        for claim in self._journal.claim(room, open_folders):
            task = Task(claim, self._folders[claim.folder])
            self._tasks[claim.id] = task
            self._claimed.append(task)
            hit("claim.committed")
        self._put_held_back()

    def _put_held_back(self) -> None:
        """Give up whatever has not begun to be dreamt and could not be published."""

        def reason(task: Task) -> OutputUnavailable | None:
            return self._gates.reason(task.folder, task.directory)

        held = [*filter(reason, self._claimed), *self._engine.take_back(reason)]
        self._claimed = deque(task for task in self._claimed if task not in held)
        for why in dict.fromkeys(map(reason, held)):
            if why is not None:
                tasks = [task for task in held if reason(task) is why]
                self._put_back(tasks, str(why))
                self._gates.set_aside(tasks[0].folder, why)

    def _feed(self) -> None:
        """Keep the decoders and the devices busy, within the budget of memory."""
        held = sum(task.prepared.megapixels for task in self._tasks.values() if task.prepared is not None)
        while self._claimed and self._decoding < DECODERS and held < MAX_MEGAPIXELS:
            self._decoding += 1
            self._decoders.submit(self._develop, self._claimed.popleft())
        coming = self._decoding > 0 or (bool(self._claimed) and held < MAX_MEGAPIXELS)
        self._engine.start_batches(more_coming=coming)

    def _handle_events(self, wait_seconds: float) -> None:
        try:
            event = self._events.get(timeout=wait_seconds)
            while True:
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            return

    # In the pools

    def _develop(self, task: Task) -> None:
        try:
            self._stages.develop(task)
        except BaseException as error:  # noqa: BLE001  (judged in the pipeline's thread)
            self._events.put(partial(self._developed, task, error))
        else:
            self._events.put(partial(self._developed, task, None))

    def _deliver(self, task: Task, rendered: Any) -> None:
        try:
            output = self._stages.deliver(task, rendered)
        except BaseException as error:  # noqa: BLE001  (judged in the pipeline's thread)
            self._events.put(partial(self._failed, task, error))
        else:
            self._events.put(partial(self._delivered, task, output))

    def _probe(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        try:
            self._stages.probe(folder, reason)
        except Exception:  # noqa: BLE001  (whatever it is, the folder still makes trouble)
            self._events.put(partial(self._gates.still_closed, folder, reason.directory))
        else:
            self._events.put(partial(self._opened, folder, reason.directory))

    # What came of it, in the pipeline's thread

    def _developed(self, task: Task, error: BaseException | None) -> None:
        self._decoding -= 1
        if error is not None:
            self._failed(task, error)
        elif self._stopping:
            self._put_back([task], STOPS)
        else:
            self._engine.add(task)
            self._put_held_back()

    def _dreamt(self, task: Task, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self._failed(task, outcome)
        else:
            task.fraction = 1.0
            self._finishers.submit(self._deliver, task, outcome)

    def _opened(self, folder: FolderSettings, directory: Path) -> None:
        self._gates.open(folder, directory)
        for one in self._undecided:
            one.due = 0.0

    def _delivered(self, task: Task, output: Path) -> None:
        self._tasks.pop(task.claim.id, None)
        self.outcomes.published(task, output)

    def _failed(self, task: Task, error: BaseException) -> None:
        self._tasks.pop(task.claim.id, None)
        try:
            if isinstance(error, OutputUnavailable):
                self._gates.close(task.folder, error)
                self._put_held_back()
        finally:  # whatever happens, the job ends
            self._write(partial(self._conclude, task, error))

    def _conclude(self, task: Task, error: BaseException) -> None:
        try:
            out = self._journal.announced(task.claim.id)
            if out is None:
                self.outcomes.failed(task, error)
            else:  # it may be visible already
                log.warning("publishing was interrupted", job=out.job, path=str(task.claim.source), error=str(error))
                self._undecided.append(Undecided(out, task.seconds))
        except (sqlite3.OperationalError, OSError):
            raise  # it is tried again
        except Exception:
            log.exception("what became of a job could not be told", job=task.claim.id, path=str(task.claim.source))
            self.outcomes.given_up(task, error)

    def _decide(self, one: Undecided) -> None:
        out = one.out
        try:
            target = resolve(self._journal, out, [folder.output for folder in self._folders.values()])
        except CalledOff:  # the job is no longer ours
            self._undecided.remove(one)
        except Exception as error:  # noqa: BLE001  (it may pass, and the other jobs go on)
            level = log.debug if one.error else log.warning
            one.error = explain_error(error)
            level("cannot find out whether it was published", job=out.job, output=str(out.target), error=one.error)
            one.due = time.monotonic() + one.delay_seconds
            one.delay_seconds = min(one.delay_seconds * 2, LONGEST_DECIDE_SECONDS)
        else:
            self._undecided.remove(one)
            source = self._journal.source(out.job)
            if target is not None and source is not None:
                self.outcomes.found(out.job, source, target, one.seconds)

    def _write(self, change: Callable[[], None]) -> None:
        """Change the journal, now or, when its disk is full or locked, later."""
        try:
            change()
        except (sqlite3.OperationalError, OSError) as error:
            log.exception("the journal could not be written", error=str(error))
            self._unwritten.append(change)
        except Exception as error:
            log.exception("a change of the journal is given up", error=explain_error(error))

    def _put_back(self, tasks: Iterable[Task], why: str) -> None:
        jobs = [task.claim.id for task in tasks]
        for job in jobs:
            self._tasks.pop(job, None)
        if jobs:
            self._write(partial(self._journal.put_back, jobs, why))

    def _put_back_running(self) -> None:
        """Put back also what has no task any more: saying what became of it failed."""
        running, _ = self._journal.at_work()
        self._journal.put_back(running, STOPS)

    def _wind_down(self) -> None:
        self._stopping = True
        self._deadline = time.monotonic() + WIND_DOWN_SECONDS
        self._put_back([*self._claimed, *self._engine.take_back()], STOPS)
        self._claimed.clear()
        self._drain(self._settings.shutdown_seconds)
        self._engine.cancel()
        self._drain(CANCEL_SECONDS)
        for _ in range(len(self._unwritten)):
            self._write(self._unwritten.popleft())
        # A thread that hangs is given up on: the journal lets it announce nothing any more. What it has announced
        # may be visible already, and stays so until the next start finds out.
        self._put_back(list(self._tasks.values()), STOPS)
        self._write(self._put_back_running)
        for pool in (self._decoders, self._finishers, self._executor):
            pool.shutdown(wait=False, cancel_futures=True)

    def _drain(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._deadline)
        while self._tasks and time.monotonic() < until:
            self._handle_events(0.05)
            self._put_back(self._engine.take_back(), STOPS)  # halves of a batch that failed meanwhile

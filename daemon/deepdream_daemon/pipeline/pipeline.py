"""The pipeline: jobs are claimed oldest first, decoded, dreamt together and published, a bounded number
at a time.

One thread, :meth:`Pipeline.run`, decides everything and alone says what becomes of a job; pools do the
work and post what came of it to that thread.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.engine_room import EngineRoom
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.pools import Pools
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.snapshot import Active
from deepdream_plugins.events import DaemonStopping
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

log = structlog.get_logger("deepdream")

IDLE_SECONDS = 0.2
MEND_SECONDS = 1.0
BUSY_SECONDS = 10.0
"""How often the journal is told how busy the devices are, for ``deepdream status``."""
CANCEL_SECONDS = 2.0
WIND_DOWN_SECONDS = 14.0
"""The whole of it, also what the daemon waits for after the pipeline: a second less than promised."""
STOPS = "the daemon stops"


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
        room: Room,
        executor: Executor,
        host: PluginHost,
        on_changed: Callable[[Path], None],
        on_done: Callable[[Path], None],
        more_troubles: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._more_troubles = more_troubles
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._journal = journal
        self._roots = roots
        self._room = room
        self._writes = LateWrites()
        self._write = self._writes.write
        self._gates = Gates(journal, self._write)
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pools = Pools(stages, self._events.put)
        self._executor = executor
        self._host = host
        telling = Telling(host)
        self._engine = EngineRoom(
            renderer,
            executor,
            max_batch=settings.engine.max_batch,
            post=self._events.put,
            on_dreamt=self._dreamt,
            on_begun=telling.started,
            on_progress=telling.progress,
        )
        self._max_tasks = settings.engine.max_batch * (max(1, len(renderer.devices)) + 1) + self._pools.size
        self._tasks: dict[int, Task] = {}
        self._claimed: deque[Task] = deque()
        self._decoding = 0
        self._stopping = False
        self._deadline = float("inf")
        self._mend_at = 0.0
        self._busy_at = 0.0
        self._busy_share: float | None = None
        self._disabled: dict[str, str] = {}
        self._noted: Mapping[str, str] = {}
        self.outcomes = Outcomes(settings, journal, host=host, on_changed=on_changed, on_done=on_done)
        self._undecided = Undecided(journal, [folder.output for folder in settings.folders], self.outcomes)

    def run(self, stop: threading.Event, undecided: Iterable[Announced] = ()) -> None:
        """Work until ``stop``; ``undecided`` are outputs left from before. No error ends the loop."""
        self._write(partial(self._journal.note_busy, None))
        self._write(partial(self._journal.note_disabled, {}))
        self._write(partial(self._journal.note_troubles, {}))
        for out in undecided:
            self._undecided.add(out)
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
        full = ["the journal cannot be written to; it is tried again"] if self._writes else []
        return self._gates.reasons() + self._undecided.troubles() + full

    def busy_share(self) -> float | None:
        """Return the share of the time with work in which the devices dreamt, in [0, 1]; safe from any thread."""
        share = self._engine.utilisation.share
        return None if share is None else round(share, 3)

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
        self._writes.retry()
        self._undecided.decide(now)
        self._put_out_of_use()
        if now >= self._busy_at and self._busy_share != self.busy_share():
            self._busy_at, self._busy_share = now + BUSY_SECONDS, self.busy_share()
            self._write(partial(self._journal.note_busy, self._busy_share))
        troubles = self._more_troubles()
        for trouble in troubles.keys() - self._noted.keys():
            log.warning("not all can be done", reason=trouble)
        if troubles != self._noted:
            self._noted = troubles
            self._write(partial(self._journal.note_troubles, troubles))
        for folder, reason in self._gates.to_probe():
            self._pools.probe(folder, reason, self._probed)

    def _put_out_of_use(self) -> None:
        """Have other processes know which plugins are disabled, and give up what waits for the engine with one."""
        disabled = dict(self._host.health.disabled)
        for name in disabled.keys() - self._disabled.keys():
            log.error("a plugin is disabled", plugin=name, reason=disabled[name])
        if disabled == self._disabled:
            return
        self._disabled = disabled
        self._write(partial(self._journal.note_disabled, disabled))
        for task in self._engine.take_back(
            lambda task: task.recipe and not disabled.keys().isdisjoint(task.recipe.plugins)
        ):
            try:
                self._host.health.require(task.recipe.plugins if task.recipe else ())
            except PluginDisabled as error:
                self._failed(task, error)

    def _claim(self) -> None:
        room = self._max_tasks - len(self._tasks)
        if room <= 0 or self._writes:
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
        """Keep the decoders and the devices busy; decoders wait by themselves until there is room in memory."""
        while self._claimed and self._decoding < self._pools.size:
            self._decoding += 1
            self._pools.develop(self._claimed.popleft(), self._developed)
        self._engine.start(more_coming=self._decoding > 0)
        self._engine.utilisation.note_work(bool(self._tasks))

    def _handle_events(self, wait_seconds: float) -> None:
        try:
            event = self._events.get(timeout=wait_seconds)
            while True:
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            return

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
            self._engine.utilisation.warm()
            task.fraction, task.prepared, task.rendered = 1.0, None, outcome
            self._pools.deliver(task, self._delivered)

    def _probed(self, folder: FolderSettings, directory: Path, is_open: bool) -> None:
        if is_open:
            self._gates.open(folder, directory)
            self._undecided.hurry()
        else:
            self._gates.still_closed(folder, directory)

    def _delivered(self, task: Task, output: Path | BaseException) -> None:
        if isinstance(output, BaseException):
            self._failed(task, output)
        else:
            self._let_go(task.claim.id)
            self.outcomes.published(task, output)

    def _failed(self, task: Task, error: BaseException) -> None:
        self._let_go(task.claim.id)
        try:
            if isinstance(error, OutputUnavailable):
                self._gates.close(task.folder, error)
                self._put_held_back()
        finally:  # whatever happens, the job ends
            self._write(partial(self._conclude, task, error))
            if isinstance(error, PluginFailure):
                self._put_out_of_use()

    def _conclude(self, task: Task, error: BaseException) -> None:
        try:
            out = self._journal.announced(task.claim.id)
            if out is None:
                self.outcomes.failed(task, error)
            else:  # it may be visible already
                log.warning("publishing was interrupted", job=out.job, path=str(task.claim.source), error=str(error))
                self._undecided.add(out, task.seconds)
        except (sqlite3.OperationalError, OSError):
            raise  # it is tried again
        except Exception:
            log.exception("what became of a job could not be told", job=task.claim.id, path=str(task.claim.source))
            self.outcomes.given_up(task, error)

    def _let_go(self, job: int) -> None:
        """Forget a job that has ended or gone back, with all that it keeps in memory."""
        task = self._tasks.pop(job, None)
        if task is not None:
            task.prepared = task.rendered = None
            self._room.give(task.megapixels)
            task.megapixels = 0.0

    def _put_back(self, tasks: Iterable[Task], why: str) -> None:
        jobs = [task.claim.id for task in tasks]
        for job in jobs:
            self._let_go(job)
        if jobs:
            self._write(partial(self._journal.put_back, jobs, why))

    def _put_back_running(self) -> None:
        """Put back also what has no task any more: saying what became of it failed."""
        running, _ = self._journal.at_work()
        self._journal.put_back(running, STOPS)

    def _wind_down(self) -> None:
        self._stopping = True
        self._tell_stopping()
        self._room.close()
        self._deadline = time.monotonic() + WIND_DOWN_SECONDS
        self._put_back([*self._claimed, *self._engine.take_back()], STOPS)
        self._claimed.clear()
        self._drain(self._settings.shutdown_seconds)
        self._engine.cancel()
        self._drain(CANCEL_SECONDS)
        self._writes.retry()
        # A thread that hangs is given up on: the journal lets it announce nothing any more. What it has announced
        # may be visible already, and stays so until the next start finds out.
        self._put_back(list(self._tasks.values()), STOPS)
        self._write(self._put_back_running)
        self._pools.shutdown()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _tell_stopping(self) -> None:
        try:
            counts = self._journal.counts()
        except sqlite3.Error as error:
            log.warning("the journal could not be read", error=str(error))
        else:
            self._host.tell(DaemonStopping(queued=counts["queued"] + counts["waiting"]))

    def _drain(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._deadline)
        while self._tasks and time.monotonic() < until:
            self._handle_events(0.05)
            self._put_back(self._engine.take_back(), STOPS)  # halves of a batch that failed meanwhile

"""The pipeline: jobs are claimed, decoded, dreamt together and published, a bounded number at a time.

One thread, :meth:`Pipeline.run`, decides everything and alone says what becomes of a job; pools do the
work and post what came of it to that thread.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.claiming import Claiming
from deepdream_daemon.pipeline.engine_room import LINGER_SECONDS, EngineRoom
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.given_up import WorkerUnfit, kills_the_worker, took_too_long
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.line import Line
from deepdream_daemon.pipeline.notes import Notes
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.pools import Pools
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.pipeline.under_way import UnderWay
from deepdream_daemon.running.snapshot import Active
from deepdream_daemon.worker.died import PictureLost, WorkerDied
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

log = structlog.get_logger("deepdream")

IDLE_SECONDS = 0.2
MEND_SECONDS = 1.0
TRIAL_LINGER_SECONDS = 5.0
"""How long a device waits for the rest of a group that is tried, which shall be tried in one run."""
MOST_GUILTY_IN_A_ROW = 3
"""If more pictures than these end the worker, and none is dreamt between, it is not taken for the pictures' fault."""
CANCEL_SECONDS = 2.0
WIND_DOWN_SECONDS = 14.0
"""The whole of it, also what the daemon waits for after the pipeline: a second less than promised."""
STOPS = "the daemon stops"
RETIRES = "the configuration was reloaded"


class Pipeline:
    """Works until told to stop, then winds down: what runs may finish for a while, the rest is queued
    again. Or until it is retired, since another is to go on: what runs may finish.
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
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._more_troubles = more_troubles
        self._beat = beat
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._journal = journal
        self._renderer = renderer
        self._room = room
        self._writes = LateWrites()
        self._write = self._writes.write
        self._gates = Gates(journal, self._write)
        self._claiming = Claiming(settings, journal, self._gates, roots)
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
        self._tasks = UnderWay(room)
        self._line = Line(self._tasks, self._guilty)
        self._guilty_in_a_row = 0
        self._unfit: WorkerUnfit | None = None
        self._decoding = 0
        self._ends_because = ""
        self._deadline = float("inf")
        self._mend_at = 0.0
        self._notes = Notes(journal, self._write)
        self.outcomes = Outcomes(settings, journal, host=host, on_changed=on_changed, on_done=on_done)
        self._undecided = Undecided(journal, [folder.output for folder in settings.folders], self.outcomes)

    def run(
        self,
        stop: threading.Event,
        undecided: Iterable[Announced] = (),
        retire: threading.Event | None = None,
    ) -> None:
        """Work until ``stop``, or, once ``retire`` is set, until what is in flight is done; ``undecided`` are outputs
        left from before. No error ends the loop."""
        retired = retire or threading.Event()
        self._notes.clear()
        for out in undecided:
            self._undecided.add(out)
        while not stop.is_set() and not (retired.is_set() and self._is_done):
            self._beat()
            try:
                if retired.is_set():
                    self._begin_nothing_more(RETIRES)
                self._tend()
                if not stop.is_set() and not retired.is_set():
                    self._put_paused_back()
                    self._claim()
                self._feed()
                self._handle_events(IDLE_SECONDS)
            except Exception:
                log.exception("the pipeline met an error, it goes on")
                stop.wait(MEND_SECONDS)
        if stop.is_set():
            self._wind_down()
        else:
            self._leave()

    def wake(self) -> None:
        """There may be new jobs."""
        self._events.put(lambda: None)

    def active(self) -> tuple[Active, ...]:
        """Return what is under way; safe to call from any thread."""
        return self._tasks.active()

    def troubles(self) -> list[str]:
        """Say what holds the pipeline up, if anything."""
        full = ["the journal cannot be written to; it is tried again"] if self._writes else []
        return self._gates.reasons() + self._undecided.troubles() + full + list(self._worker_troubles())

    def _worker_troubles(self) -> dict[str, str]:
        unfit = self._unfit
        return {**self._renderer.troubles(), **({} if unfit is None else {str(unfit): unfit.advice})}

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
        self._give_up_overdue()
        for folder, reason in self._gates.to_probe():
            self._pools.probe(folder, reason, self._probed)
        self._notes.tell_busy(self.busy_share())
        self._notes.tell_troubles({**self._more_troubles(), **self._worker_troubles()})

    def _put_out_of_use(self) -> None:
        """Have others know which plugins are disabled, and give up what waits for the engine with one."""
        self._renderer.share_health(self._host.health)
        disabled = dict(self._host.health.disabled)
        if not self._notes.tell_disabled(disabled):
            return
        for task in self._engine.take_back(
            lambda task: task.recipe and not disabled.keys().isdisjoint(task.recipe.plugins)
        ):
            try:
                self._host.health.require(task.recipe.plugins if task.recipe else ())
            except PluginDisabled as error:
                self._failed(task, error)

    def _give_up_overdue(self) -> None:
        """Give up what takes too long. Whatever a thread still makes of it, nobody waits for that any more."""
        limit = self._settings.pictures.job_seconds
        for task in self._tasks.overdue(limit):
            self._engine.leave_out(task)
            self._failed(task, took_too_long(task.claim.source, task.worked_seconds, limit))

    def _claim(self) -> None:
        most = self._settings.engine.max_batch * (self._engine.devices + 1) + self._pools.size
        room = most - len(self._tasks)
        if room <= 0 or self._writes or self._line.is_on_trial:
            return
        for claim in self._claiming.claim(room, self._tasks.by_folder()):
            self._line.add(self._tasks.add(claim, self._folders[claim.folder]))
            hit("claim.committed")
        self._put_held_back()

    def _put_held_back(self) -> None:
        """Give up whatever has not begun to be dreamt and could not be published."""

        def reason(task: Task) -> OutputUnavailable | None:
            return self._gates.reason(task.folder, task.directory)

        held = self._take_back(reason)
        for why in dict.fromkeys(map(reason, held)):
            if why is not None:
                tasks = [task for task in held if reason(task) is why]
                self._put_back(tasks, str(why))
                self._gates.set_aside(tasks[0].folder, why)

    def _put_paused_back(self) -> None:
        """Put back what has not begun to be dreamt and may not be now: the daemon is paused, or the hours are over."""
        held = {folder.input: self._claiming.held_back(folder) for folder in self._settings.folders}
        for path, why in held.items():
            if why is not None:
                self._put_back(self._take_back(lambda task, path=path: task.claim.folder == path), why)  # type: ignore[misc]

    def _take_back(self, wanted: Callable[[Task], object]) -> list[Task]:
        """Give up those ``wanted`` that have not begun to be dreamt."""
        return [*self._line.take_back(wanted), *self._engine.take_back(wanted)]

    def _feed(self) -> None:
        """Keep the decoders and the devices busy; decoders wait by themselves until there is room in memory."""
        self._line.go_on()
        while len(self._line) and self._decoding < self._pools.size:
            self._decoding += 1
            self._pools.develop(self._line.take(), self._developed)
        more = self._decoding > 0 or len(self._line) > 0
        linger = TRIAL_LINGER_SECONDS if self._line.is_on_trial else LINGER_SECONDS
        self._engine.start(more_coming=more, linger_seconds=linger)
        self._engine.utilisation.note_work(bool(len(self._tasks)))

    def _handle_events(self, wait_seconds: float) -> None:
        try:
            event = self._events.get(timeout=wait_seconds)
            while True:
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            return

    # When the worker died

    def _lost(self, task: Task, error: WorkerDied | PictureLost) -> None:
        """The worker that had this picture is gone."""
        if self._ends_because:
            self._put_back([task], self._ends_because)
        elif isinstance(error, PictureLost):
            self._line.again([task])
        else:
            if not self._line.is_on_trial:
                self._line.again(self._engine.take_back())
            self._line.accuse(task, error)

    def _guilty(self, task: Task, reason: str) -> None:
        """It has ended the worker again and again. So may a driver that is broken, with whatever picture."""
        log.error("found what ended the worker", job=task.claim.id, path=str(task.claim.source), reason=reason)
        self._guilty_in_a_row += 1
        if self._guilty_in_a_row > MOST_GUILTY_IN_A_ROW:
            self._unfit = WorkerUnfit(reason, self._guilty_in_a_row)
            self._failed(task, self._unfit)
            return
        task.claim = replace(task.claim, attempts=task.claim.attempts + task.deaths_alone - 1)  # one more is counted
        self._failed(task, kills_the_worker(task.claim.source, reason, task.deaths_alone))

    # What came of it, in the pipeline's thread

    def _developed(self, task: Task, error: BaseException | None) -> None:
        self._decoding -= 1
        if task not in self._tasks:
            self._tasks.give_room(task)
        elif error is not None:
            self._failed(task, error)
        elif self._ends_because:
            self._put_back([task], self._ends_because)
        elif not self._line.may_be_dreamt(task):
            self._line.again([task])
        else:
            self._engine.add(task)
            self._put_held_back()

    def _dreamt(self, task: Task, outcome: Any) -> None:
        if task not in self._tasks:
            return
        if isinstance(outcome, BaseException):
            self._failed(task, outcome)
        else:
            self._engine.utilisation.warm()
            task.fraction, task.prepared, task.rendered = 1.0, None, outcome
            task.stage = "waiting to be finished"
            self._pools.deliver(task, self._delivered)

    def _probed(self, folder: FolderSettings, directory: Path, is_open: bool) -> None:
        if is_open:
            self._gates.open(folder, directory)
            self._undecided.hurry()
        else:
            self._gates.still_closed(folder, directory)

    def _delivered(self, task: Task, output: Path | BaseException) -> None:
        if isinstance(output, BaseException):
            if task in self._tasks:
                self._failed(task, output)
            return
        self._guilty_in_a_row, self._unfit = 0, None
        self._tasks.let_go(task)
        self._tasks.concluded([task.claim.id])
        self.outcomes.published(task, output)

    def _failed(self, task: Task, error: BaseException) -> None:
        if isinstance(error, WorkerDied | PictureLost):
            self._lost(task, error)
            return
        self._line.leave_out(task)
        self._tasks.let_go(task)
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
        self._tasks.concluded([task.claim.id])

    def _put_back(self, tasks: Iterable[Task], why: str) -> None:
        tasks = list(tasks)
        for task in tasks:
            self._tasks.let_go(task)
        if tasks:
            self._write(partial(self._put_back_now, [task.claim.id for task in tasks], why))

    def _put_back_now(self, jobs: list[int], why: str) -> None:
        self._journal.put_back(jobs, why)
        self._tasks.concluded(jobs)

    # The end

    @property
    def _is_done(self) -> bool:
        """Whether all is said of what was claimed here."""
        return not (len(self._tasks) or self._decoding or self._writes or len(self._undecided))

    def _begin_nothing_more(self, why: str) -> None:
        """Put back what has not begun to be dreamt, now and later."""
        self._ends_because = why
        self._notes.is_silent = True
        self._put_back([*self._line.take_all_back(), *self._engine.take_back()], why)

    def _leave(self) -> None:
        """End when retired: others go on, and have gates of their own."""
        self._gates.let_go()
        self._writes.retry()
        self._end_threads()

    def _wind_down(self) -> None:
        self._room.close()
        self._deadline = time.monotonic() + WIND_DOWN_SECONDS
        self._begin_nothing_more(STOPS)
        self._drain(self._settings.shutdown_seconds)
        self._engine.cancel()
        self._drain(CANCEL_SECONDS)
        self._writes.retry()
        # A thread that hangs is given up on: the journal lets it announce nothing any more. What it has announced
        # may be visible already, and stays so until the next start finds out.
        self._put_back(list(self._tasks), STOPS)
        self._write(self._put_back_running)
        self._end_threads()

    def _put_back_running(self) -> None:
        """Put back also what has no task any more: saying what became of it failed. What others have claimed is
        theirs."""
        running, _ = self._journal.at_work()
        self._journal.put_back([job for job in running if job in self._tasks.ours], STOPS)

    def _end_threads(self) -> None:
        self._pools.shutdown()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _drain(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._deadline)
        while len(self._tasks) and time.monotonic() < until:
            self._beat()
            self._handle_events(0.05)
            self._put_back(self._engine.take_back(), STOPS)  # halves of a batch that failed meanwhile

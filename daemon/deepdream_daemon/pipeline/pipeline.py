"""The pipeline: jobs are claimed, decoded, dreamt together and published, a bounded number at a time.

One thread, :meth:`Pipeline.run`, decides everything and alone says what becomes of a job; pools do the
work and post what came of it to that thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.claiming import Claiming
from deepdream_daemon.pipeline.gates import Gates
from deepdream_daemon.pipeline.guilt import Guilt
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.leaving import Leaving
from deepdream_daemon.pipeline.notes import Notes
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.results import Results
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.standing_back import StandingBack
from deepdream_daemon.pipeline.stations import Stations
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.pipeline.tending import Tending
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.running.snapshot import Active

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

log = structlog.get_logger("deepdream")

IDLE_SECONDS = 0.2
MEND_SECONDS = 1.0
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
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._renderer = renderer
        self._room = room
        self._executor = executor
        self._more_troubles = more_troubles
        self._beat = beat
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._deadline = float("inf")
        self._mend_at = 0.0
        self.needs_renderer = True
        """Until it is retired and what is in flight is done; what may be left is to find out what was published."""
        self._writes = LateWrites()
        self._notes = Notes(journal, self._writes.write)
        self._gates = Gates(journal, self._writes.write)
        self._claiming = Claiming(settings, journal, self._gates, roots)
        self._guilt = Guilt()
        self.outcomes = Outcomes(settings, journal, host=host, on_changed=on_changed, on_done=on_done)
        self._undecided = Undecided(journal, settings.folders, self.outcomes.found)
        self._stations = stations = Stations(
            stages,
            renderer,
            executor,
            room=room,
            max_batch=settings.engine.max_batch,
            telling=Telling(host),
            post=self._events.put,
        )
        self._tasks, self._engine = stations.tasks, stations.engine
        self._leaving = Leaving(journal, self._writes, self._tasks, self.outcomes, self._undecided)
        self._standing_back = StandingBack(
            gates=self._gates, claiming=self._claiming, stations=stations, leaving=self._leaving
        )
        results = stations.hears = Results(
            stations,
            leaving=self._leaving,
            standing_back=self._standing_back,
            outcomes=self.outcomes,
            guilt=self._guilt,
            on_plugin_failure=lambda: self._tending.put_out_of_use(),  # noqa: PLW0108  (it is made below)
        )
        self._tending = Tending(
            journal,
            stations,
            renderer,
            host.health,
            job_seconds=settings.pictures.job_seconds,
            writes=self._writes,
            undecided=self._undecided,
            gates=self._gates,
            notes=self._notes,
            failed=results.failed,
        )

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
                    self.needs_renderer = not self._stations.is_empty
                self._tend()
                if not stop.is_set() and not retired.is_set():
                    self._standing_back.for_settings()
                    self._standing_back.for_films()
                    self._claim()
                self._stations.feed()
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
        return self._tending.troubles() + list(self._worker_troubles())

    def _worker_troubles(self) -> dict[str, str]:
        return {**self._renderer.troubles(), **self._guilt.troubles()}

    def busy_share(self) -> float | None:
        """Return the share of the time with work in which the devices dreamt, in [0, 1]; safe from any thread."""
        share = self._engine.utilisation.share
        return None if share is None else round(share, 3)

    def seconds_left(self) -> float:
        """Return how much of the wind-down's time is left."""
        return max(0.0, self._deadline - time.monotonic())

    # Each turn of the loop

    def _tend(self) -> None:
        now = time.monotonic()
        if now < self._mend_at:
            return
        self._mend_at = now + MEND_SECONDS
        self._tending.turn(now)
        troubles = {**self._more_troubles(), **self._worker_troubles(), **self._undecided.troubles()}
        self._tending.tell(self.busy_share(), troubles)

    def _claim(self) -> None:
        free = self._stations.free
        if free <= 0 or self._writes:
            return
        for claim in self._claiming.claim(free, self._tasks.in_folder):
            self._stations.add(claim, self._folders[claim.folder])
            hit("claim.committed")
        self._standing_back.for_gates()

    def _handle_events(self, wait_seconds: float) -> None:
        try:
            event = self._events.get(timeout=wait_seconds)
            while True:
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            return

    # The end

    @property
    def _is_done(self) -> bool:
        """Whether all is said of what was claimed here."""
        return self._stations.is_empty and not (self._writes or len(self._undecided))

    def _begin_nothing_more(self, why: str) -> None:
        """Put back what has not begun to be dreamt, now and later."""
        self._notes.is_silent = True
        self._standing_back.for_good(why)

    def _leave(self) -> None:
        """End when retired: others go on, and have gates of their own."""
        self.needs_renderer = False
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
        # A thread that hangs is given up on, and announces nothing any more. What it has announced may be visible
        # already, and stays so until the next start finds out.
        self._leaving.put_back(list(self._tasks), STOPS)
        self._leaving.put_back_running(STOPS)
        self._end_threads()

    def _drain(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._deadline)
        while len(self._tasks) and time.monotonic() < until:
            self._beat()
            self._handle_events(0.05)
            self._leaving.put_back(self._engine.take_back(), STOPS)  # halves of a batch that failed meanwhile

    def _end_threads(self) -> None:
        self._stations.pools.shutdown()
        self._executor.shutdown(wait=False, cancel_futures=True)

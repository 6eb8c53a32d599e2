"""The daemon: one instance per state folder, with the works of the configuration in force around one journal.

One thread, :meth:`Daemon.run`, sees to what concerns all works; another takes up the configuration when it has changed
(:mod:`~deepdream_daemon.running.reloading`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks
from deepdream_daemon.journal.checkpointing import Checkpointing
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.showing import Showing
from deepdream_daemon.pipeline.hours import is_open
from deepdream_daemon.pipeline.pipeline import WIND_DOWN_SECONDS
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import default_room
from deepdream_daemon.private import make_private
from deepdream_daemon.publishing.recovery import recover
from deepdream_daemon.running.generations import Generations
from deepdream_daemon.running.lock import alone_with
from deepdream_daemon.running.overview import Overview
from deepdream_daemon.running.reloading import Nobody, Reloading, Supervision
from deepdream_daemon.running.snapshot import Snapshot
from deepdream_daemon.running.works import Plan, Shared, Works

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")

TEND_SECONDS = 0.5  # an idle daemon should cost nothing
DRAIN_SECONDS = 0.5
"""How often the journal is asked whether the daemon is to end when nothing is left to do."""
START_SECONDS = 90.0
"""A journal of millions of pictures takes a while to be looked through."""
INTAKE_STOP_SECONDS = 3.0
COURIER_STOP_SECONDS = 2.0
"""What does not arrive until then is brought again at the next start."""


class Daemon:
    """Watches the folders of ``settings`` and dreams what appears in them.

    ``executor`` runs the devices, at most one call per device at a time; by default it has a thread for each.
    ``sinks`` are where the dreams of each folder are brought to; ``out_of_use`` are recipes that wait for a plugin,
    each with the reason. ``reloading`` makes other plans later; ``accept`` hears of all settings that are about to be
    in force, and may refuse them by raising. ``supervision`` is told how far it is, ``beats`` that its parts live.
    """

    def __init__(
        self,
        settings: Settings,
        book: RecipeBook,
        renderer: Renderer,
        *,
        sinks: FolderSinks | None = None,
        out_of_use: Mapping[str, str] | None = None,
        executor: Executor | None = None,
        reloading: Reloading | None = None,
        accept: Callable[[Settings], None] = lambda _: None,
        supervision: Supervision | None = None,
        beats: Heartbeats | None = None,
    ) -> None:
        self._first = Plan(
            settings=settings,
            book=book,
            renderer=renderer,
            sinks=sinks or {},
            out_of_use=out_of_use or {},
            executor=executor,
        )
        self._reloading = reloading
        self._accept = accept
        self._supervision = supervision or Nobody()
        self._generations: Generations | None = None
        self._drain_at = 0.0
        self.beats = beats or Heartbeats()
        self._overview = Overview(self.beats.ages)

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._plan.settings

    @property
    def _plan(self) -> Plan:
        return self._first if self._generations is None else self._generations.in_force.plan

    def reload(self) -> None:
        """Take the configuration up again soon, whether it has changed or not. For signal handlers, too."""
        if self._reloading is not None:
            self._reloading.ask()

    def worker_trouble(self) -> str | None:
        """Say what keeps the worker from starting, if anything does."""
        return next(iter(self._plan.renderer.troubles()), None)

    def snapshot(self) -> Snapshot:
        """Return what the daemon is doing now, or, when it has ended, did at last; before it runs, nothing."""
        return self._overview.snapshot()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, by others or because all is drained, and the wind-down is over; raises
        :class:`~deepdream_daemon.running.lock.AlreadyRunning` at once."""
        state = self._first.settings.state
        make_private(state)
        with alone_with(state):
            self._run(stop)

    def _run(self, stop: threading.Event) -> None:
        self._supervision.extend(START_SECONDS)
        journal = Journal.open(self._first.settings.state, check=True)
        try:
            generations = Generations(self._shared(journal, stop), self._accept)
            generations.prepare(self._first)
            self._generations = generations
            self._overview.begin(journal, generations)
            generations.begin(recover(journal, self._first.settings.folders))
            self._begin_beside(journal, stop)
            self._supervision.ready()
            if self._reloading is not None:
                self._reloading.start(
                    stop,
                    plan=lambda: self._plan,
                    take_up=self._take_up,
                    refuse=self._refuse,
                    supervision=self._supervision,
                )
            try:
                while not stop.wait(TEND_SECONDS):
                    generations.tend()
                    self._overview.note_worker()
                    if self._is_drained(journal):
                        stop.set()
            finally:
                stop.set()  # whatever ends this thread ends the others
                self._wind_down(generations)
            log.info("stopped", **journal.counts())
        finally:
            self._overview.end(journal)
            journal.close()

    def _begin_beside(self, journal: Journal, stop: threading.Event) -> None:
        """Start what goes on for as long as the daemon does, whichever configuration is in force."""
        checkpointing, showing = Checkpointing(journal), Showing(self._first.settings.state, self.snapshot)
        threading.Thread(target=checkpointing.run, args=(stop,), name="checkpoints", daemon=True).start()
        threading.Thread(target=showing.run, args=(stop,), name="showing", daemon=True).start()

    def _shared(self, journal: Journal, stop: threading.Event) -> Shared:
        def in_force() -> Works:
            assert self._generations is not None  # somebody works
            return self._generations.in_force

        return Shared(
            journal=journal,
            room=default_room(),
            token=f"{journal.instance}-{os.getpid():x}x{time.time_ns():x}",
            stop=stop,
            beats=self.beats,
            on_changed=lambda path: in_force().intake.hints.put(path),  # noqa: PLW0108  (they are others each time)
            on_done=lambda folder: in_force().published(folder),
        )

    def _wind_down(self, generations: Generations) -> None:
        self._supervision.stopping()
        self._supervision.extend(WIND_DOWN_SECONDS + 1)
        generations.close()
        generations.join()
        in_force = generations.in_force
        left = in_force.pipeline.seconds_left
        in_force.join_intake(min(INTAKE_STOP_SECONDS, left()))
        in_force.couriers.join(min(COURIER_STOP_SECONDS, left()))
        in_force.disposer.join(min(COURIER_STOP_SECONDS, left()))
        generations.end(left)

    def _take_up(self, plan: Plan) -> None:
        if self._generations is not None:
            self._generations.take_up(plan)
        self._overview.note_reload_error(None)

    def _refuse(self, error: str) -> None:
        log.error("the changed configuration is not taken up; the former one goes on", error=error)
        self._overview.note_reload_error(error)

    def _is_drained(self, journal: Journal) -> bool:
        """Tell whether somebody has asked for an end when nothing is left to do, and that is so."""
        if time.monotonic() < self._drain_at:
            return False
        self._drain_at = time.monotonic() + DRAIN_SECONDS
        try:
            open_now = [each for each in self.settings.folders if is_open(each.hours)]
            if not journal.is_draining() or journal.is_anything_left(open_now):
                return False
            counts = journal.counts()
        except sqlite3.Error as error:
            log.warning("the journal could not be read", error=str(error))
            return False
        left = {state: counts[state] for state in ("queued", "waiting", "publishing")}
        if any(left.values()):
            log.warning("drained, but for what cannot be done now; the next start goes on with it", **left)
        else:
            log.info("drained: nothing is left to do")
        return True

"""The daemon: one instance per state folder, with the works of the configuration in force around one journal.

One thread, :meth:`Daemon.run`, sees to what concerns all works; another takes up the configuration when it has changed
(:mod:`~deepdream_daemon.running.reloading`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from filelock import FileLock, Timeout

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks
from deepdream_daemon.journal.checkpointing import Checkpointing
from deepdream_daemon.journal.journal import STATES, Journal
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.showing import Showing
from deepdream_daemon.pipeline.pipeline import WIND_DOWN_SECONDS
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import default_room
from deepdream_daemon.private import make_private
from deepdream_daemon.publishing.recovery import recover
from deepdream_daemon.running.generations import Generations
from deepdream_daemon.running.reloading import Nobody, Reloading, Supervision
from deepdream_daemon.running.snapshot import Snapshot
from deepdream_daemon.running.works import Plan, Shared, Works
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")

LOCK_FILE = "daemon.lock"
LOCK_SECONDS = 0.4
"""Somebody who only looks whether a daemon runs holds the lock for an instant; that is no second instance."""
TEND_SECONDS = 0.5  # an idle daemon should cost nothing
DRAIN_SECONDS = 0.5
"""How often the journal is asked whether the daemon is to end when nothing is left to do."""
START_SECONDS = 90.0
"""A journal of millions of pictures takes a while to be looked through."""
INTAKE_STOP_SECONDS = 3.0
COURIER_STOP_SECONDS = 2.0
"""What does not arrive until then is brought again at the next start."""
SETTLE_SECONDS = 1.0
"""For plugins that listen; what they do not hear until then they never will."""


class AlreadyRunning(DeepDreamError):
    """Another daemon works with the same state folder."""


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
        self._ends = threading.Lock()
        self._last = Snapshot(counts=dict.fromkeys(STATES, 0))
        self._away: list[Path] = []
        self._free_bytes: Mapping[Path, int] = {}
        self._reload_error: str | None = None
        self._journal: Journal | None = None
        self._generations: Generations | None = None
        self._drain_at = 0.0
        self._worker_seen: tuple[int, str | None] = (0, None)
        self.beats = beats or Heartbeats()

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

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, by others or because all is drained, and the wind-down is over; raises
        :class:`AlreadyRunning` at once."""
        state = self._first.settings.state
        make_private(state)
        lock = FileLock(state / LOCK_FILE, timeout=LOCK_SECONDS)
        try:
            lock.acquire(poll_interval=0.05)
        except Timeout as error:
            raise AlreadyRunning(_already_running(self._first.settings)) from error
        try:
            (state / f"{LOCK_FILE}.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
            self._run(stop)
        finally:
            lock.release()

    def _run(self, stop: threading.Event) -> None:
        self._supervision.extend(START_SECONDS)
        journal = Journal.open(self._first.settings.state, check=True)
        try:
            _clear(journal)
            generations = Generations(self._shared(journal, stop), self._accept)
            generations.prepare(self._first)
            self._journal, self._generations = journal, generations
            generations.begin(recover(journal, self._first.settings.folders))
            threading.Thread(target=Checkpointing(journal).run, args=(stop,), name="checkpoints", daemon=True).start()
            showing = Showing(self._first.settings.state, self.snapshot)
            threading.Thread(target=showing.run, args=(stop,), name="showing", daemon=True).start()
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
                    self._note_worker(journal, generations)
                    if self._is_drained(journal):
                        stop.set()
            finally:
                stop.set()  # whatever ends this thread ends the others
                self._wind_down(generations)
            _clear(journal)
            log.info("stopped", **journal.counts())
        finally:
            with self._ends:
                with contextlib.suppress(sqlite3.Error):  # what was last seen is shown after the end, too
                    self._last = self._snapshot()
                self._journal = None
                journal.close()

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
        for plan in generations.plans:
            plan.renderer.close()
            plan.host.settle(min(SETTLE_SECONDS, left()))

    def _take_up(self, plan: Plan) -> None:
        if self._generations is not None:
            self._generations.take_up(plan)
        self._note_reload_error(None)

    def _refuse(self, error: str) -> None:
        log.error("the changed configuration is not taken up; the former one goes on", error=error)
        self._note_reload_error(error)

    def _note_reload_error(self, error: str | None) -> None:
        self._reload_error = error
        with self._ends:
            if self._journal is not None:
                try:
                    self._journal.note_reload_error(error)
                except sqlite3.Error as problem:
                    log.warning("the journal could not be written", error=str(problem))

    def _note_worker(self, journal: Journal, generations: Generations) -> None:
        """Have other processes know how often the worker was started again, and why."""
        seen = generations.worker_restarts, generations.last_death
        if seen != self._worker_seen:
            try:
                journal.note_worker(*seen)
                self._worker_seen = seen
            except sqlite3.OperationalError as error:  # the disk is full; it is tried again
                log.debug("the journal could not be written", error=str(error))

    def _is_drained(self, journal: Journal) -> bool:
        """Tell whether somebody has asked for an end when nothing is left to do, and that is so."""
        if time.monotonic() < self._drain_at:
            return False
        self._drain_at = time.monotonic() + DRAIN_SECONDS
        try:
            if not journal.is_draining() or journal.is_anything_left([each.input for each in self.settings.folders]):
                return False
        except sqlite3.Error as error:
            log.warning("the journal could not be read", error=str(error))
            return False
        log.info("drained: nothing is left to do")
        return True

    def snapshot(self) -> Snapshot:
        """Return what the daemon is doing now, or, when it has ended, did at last; before it runs, nothing."""
        generations = self._generations
        away: list[Path] = []
        free_bytes: Mapping[Path, int] = {}
        if self._journal is not None and generations is not None:  # both may hang, so nobody waits for them
            away = generations.in_force.roots.away()
            free_bytes = _free_bytes(self.settings)
        with self._ends:  # the journal is not closed meanwhile
            self._away, self._free_bytes = away, free_bytes
            self._last = self._snapshot()
            return self._last

    def _snapshot(self) -> Snapshot:
        journal, generations = self._journal, self._generations
        if journal is None or generations is None:
            return self._last
        works = generations.in_force
        troubles = [f"the input folder {os.fspath(path)!r} is away" for path in self._away]
        troubles += generations.troubles()
        if self._reload_error is not None:
            troubles.append(f"the changed configuration is not taken up: {self._reload_error}")
        return Snapshot(
            counts=journal.counts(),
            active=generations.active(),
            finished=generations.finished(),
            errors=generations.errors(),
            degraded="; ".join(troubles) or None,
            settling=works.intake.settling(),
            found_by_rescan=generations.found_by_rescan,
            watcher_restarts=generations.watcher_restarts,
            busy_share=works.pipeline.busy_share(),
            disabled=dict(works.plan.host.health.disabled),
            undelivered=journal.undelivered(),
            paused=journal.is_paused(),
            draining=journal.is_draining(),
            generation=works.number,
            reload_error=self._reload_error,
            worker_restarts=generations.worker_restarts,
            last_death=generations.last_death,
            queued_since=journal.queued_since(),
            free_bytes=self._free_bytes,
            beats=self.beats.ages(),
        )


def _clear(journal: Journal) -> None:
    """Forget what was said of a daemon that has ended."""
    try:
        journal.note_reload_error(None)
        journal.note_worker(0, None)
        journal.end_drain()
    except sqlite3.OperationalError as error:  # the disk is full, or somebody holds the journal
        log.warning("the journal could not be written", error=str(error))


def _free_bytes(settings: Settings) -> dict[Path, int]:
    """Return how much room there is where the daemon writes."""
    found = {}
    for folder in [settings.state, *(each.output for each in settings.folders)]:
        with contextlib.suppress(OSError):  # it is away
            found[folder] = shutil.disk_usage(folder).free
    return found


def _already_running(settings: Settings) -> str:
    try:
        pid = (settings.state / f"{LOCK_FILE}.pid").read_text(encoding="ascii").strip()
    except OSError:
        pid = "unknown"
    return (
        f"A daemon is already running with the state folder {os.fspath(settings.state)!r} (process {pid}). "
        "Stop it first, or give this one another [daemon] state."
    )

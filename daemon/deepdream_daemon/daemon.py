"""The daemon: one instance per state folder, made of the intake and the pipeline around one journal."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from deepdream_daemon.absent import ADVICE
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks
from deepdream_daemon.delivery.courier import SINK_CALL
from deepdream_daemon.delivery.couriers import Couriers
from deepdream_daemon.delivery.routes import routes_of
from deepdream_daemon.intake.intake import Intake
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import STATES, Journal
from deepdream_daemon.pipeline.pipeline import Pipeline
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import default_room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.telling import readable_path
from deepdream_daemon.pipeline.threads import DaemonThreads
from deepdream_daemon.publishing.recovery import recover, sweep
from deepdream_daemon.snapshot import Snapshot
from deepdream_engine import __version__
from deepdream_engine.errors import DeepDreamError
from deepdream_plugins.events import DaemonStarted
from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")

LOCK_FILE = "daemon.lock"
LOCK_SECONDS = 0.4
"""Somebody who only looks whether a daemon runs holds the lock for an instant; that is no second instance."""
INTAKE_STOP_SECONDS = 3.0
COURIER_STOP_SECONDS = 2.0
"""What does not arrive until then is brought again at the next start."""
SETTLE_SECONDS = 1.0
"""For plugins that listen; what they do not hear until then they never will."""
HANGING_SECONDS = 30.0
"""A plugin's code that takes longer is told of, as it may never end."""


class AlreadyRunning(DeepDreamError):
    """Another daemon works with the same state folder."""


class Daemon:
    """Watches the folders of ``settings`` and dreams what appears in them.

    ``executor`` runs the devices, at most one call per device at a time; by default it has a thread for each.
    ``sinks`` are where the dreams of each folder are brought to; ``out_of_use`` are recipes that wait for a plugin,
    each with the reason.
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
    ) -> None:
        self._sinks = sinks or {}
        self._out_of_use = _by_reason(out_of_use or {})
        self._host = book.catalogue.host
        self._settings = settings
        self._book = book
        self._renderer = renderer
        self._executor = executor
        self._roots = Roots(folder.input for folder in settings.folders)
        self._ends = threading.Lock()
        self._last = Snapshot(counts=dict.fromkeys(STATES, 0))
        self._away: list[Path] = []
        self._journal: Journal | None = None
        self._intake: Intake | None = None
        self._pipeline: Pipeline | None = None
        self._couriers: Couriers | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set and the wind-down is over; raises :class:`AlreadyRunning` at once."""
        state = self._settings.state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(state / LOCK_FILE, timeout=LOCK_SECONDS)
        try:
            lock.acquire(poll_interval=0.05)
        except Timeout as error:
            raise AlreadyRunning(_already_running(self._settings)) from error
        try:
            (state / f"{LOCK_FILE}.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
            self._run(stop)
        finally:
            lock.release()

    def _run(self, stop: threading.Event) -> None:
        journal = Journal.open(self._settings.state)
        try:
            routes = routes_of(self._settings, self._sinks, journal.known_sinks())
            couriers = Couriers(routes, journal, self._host.health, stop)
            token = f"{journal.instance}-{os.getpid():x}x{time.time_ns():x}"
            undecided = recover(journal, self._settings.folders)
            room = default_room()
            stages = Stages(
                self._settings,
                book=self._book,
                renderer=self._renderer,
                journal=journal,
                roots=self._roots,
                room=room,
                token=token,
            )
            executor = self._executor or DaemonThreads(max(1, len(self._renderer.devices)), "dream")
            intake = Intake(self._settings, self._book, journal, self._roots, lambda: pipeline.wake())  # noqa: PLW0108  (it is made below)
            pipeline = Pipeline(
                self._settings,
                journal=journal,
                stages=stages,
                renderer=self._renderer,
                roots=self._roots,
                room=room,
                executor=executor,
                host=self._host,
                on_changed=intake.hints.put,
                on_done=couriers.wake,
                more_troubles=self._troubles_with_plugins,
            )
            self._journal, self._intake, self._pipeline, self._couriers = journal, intake, pipeline, couriers
            spared = [out.temp for out in undecided]
            outputs = {folder.output for folder in self._settings.folders}
            sweeper = threading.Thread(
                target=sweep, args=(outputs, journal.instance, token, spared, stop), name="sweep", daemon=True
            )
            taker = threading.Thread(target=intake.run, args=(stop,), name="intake", daemon=True)
            sweeper.start()
            taker.start()
            couriers.start()
            watched = tuple(readable_path(folder.input) for folder in self._settings.folders)
            self._host.tell(DaemonStarted(version=__version__, pid=os.getpid(), folders=watched))
            log.info("started", folders=[str(folder.input) for folder in self._settings.folders], pid=os.getpid())
            pipeline.run(stop, undecided)
            intake.hints.wake()
            taker.join(min(INTAKE_STOP_SECONDS, pipeline.seconds_left()))
            couriers.join(min(COURIER_STOP_SECONDS, pipeline.seconds_left()))
            self._host.settle(min(SETTLE_SECONDS, pipeline.seconds_left()))
            log.info("stopped", **journal.counts())
        finally:
            with self._ends:
                with contextlib.suppress(sqlite3.Error):  # what was last seen is shown after the end, too
                    self._last = self._snapshot()
                self._journal = None
                journal.close()

    def snapshot(self) -> Snapshot:
        """Return what the daemon is doing now, or, when it has ended, did at last; before it runs, nothing."""
        away = self._roots.away() if self._journal is not None else []  # may hang, so nobody waits for it
        with self._ends:  # the journal is not closed meanwhile
            self._away = away
            self._last = self._snapshot()
            return self._last

    def _snapshot(self) -> Snapshot:
        journal, intake, pipeline, couriers = self._journal, self._intake, self._pipeline, self._couriers
        if journal is None or intake is None or pipeline is None or couriers is None:
            return self._last
        troubles = [f"the input folder {os.fspath(path)!r} is away" for path in self._away]
        troubles += pipeline.troubles()
        troubles += [f"{os.fspath(path)!r} {problem}" for path, problem in list(intake.watcher.problems.items())]
        troubles += intake.unreadable.troubles()
        troubles += couriers.troubles()
        troubles += self._troubles_with_plugins()
        return Snapshot(
            counts=journal.counts(),
            active=pipeline.active(),
            finished=tuple(pipeline.outcomes.finished),
            errors=tuple(pipeline.outcomes.troubles),
            degraded="; ".join(troubles) or None,
            settling=intake.settling(),
            found_by_rescan=intake.found_by_rescan,
            watcher_restarts=intake.watcher.restarts,
            busy_share=pipeline.busy_share(),
            disabled=dict(self._host.health.disabled),
            undelivered=journal.undelivered(),
        )

    def _troubles_with_plugins(self) -> dict[str, str]:
        """Return what plugins keep from being done, each with what to do; another process cannot find it out."""
        advice = "If it does not end, restart the daemon, and leave the plugin out or make it quicker."
        hanging = {
            f"{what} of the plugin {plugin!r} has been running since "
            f"{time.strftime('%H:%M', time.localtime(time.time() - seconds))}": advice
            for plugin, what, seconds in self._host.running()
            if seconds > HANGING_SECONDS and not what.startswith(SINK_CALL)  # those hold up no dream
        }
        return {**self._out_of_use, **hanging}


def _by_reason(recipes: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with recipes that wait for a plugin, the same only once, each with what to do."""
    told = {}
    for reason in dict.fromkeys(recipes.values()):
        names = ", ".join(repr(name) for name in recipes if recipes[name] == reason)
        told[f"pictures for {names} wait: {reason}"] = ADVICE
    return told


def _already_running(settings: Settings) -> str:
    try:
        pid = (settings.state / f"{LOCK_FILE}.pid").read_text(encoding="ascii").strip()
    except OSError:
        pid = "unknown"
    return (
        f"A daemon is already running with the state folder {os.fspath(settings.state)!r} (process {pid}). "
        "Stop it first, or give this one another [daemon] state."
    )

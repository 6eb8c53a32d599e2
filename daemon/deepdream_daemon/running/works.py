"""The works: what one configuration keeps going, between folders, journal and renderer.

When the configuration changes, its works are *retired*: they take in and claim nothing more, put back what has not
begun, finish what is in flight as they began it, and end. The next works begin at once, beside them; journal, room in
memory and the means to stop are shared by all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks
from deepdream_daemon.delivery.calling import SINK_CALL
from deepdream_daemon.delivery.couriers import Couriers
from deepdream_daemon.delivery.routes import routes_of
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.explaining.absent import ADVICE
from deepdream_daemon.intake.intake import Intake
from deepdream_daemon.intake.roots import Root, Roots
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.pipeline.engine_room import MOST_DEVICES
from deepdream_daemon.pipeline.gate import Gate
from deepdream_daemon.pipeline.pipeline import Pipeline
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.threads import DaemonThreads
from deepdream_daemon.running.tidying import Tidying

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")

INTAKE, PIPELINE = "intake", "pipeline"
"""The names of their heartbeats."""
HANDOVER_SECONDS = 0.5
"""So long an intake waits for the one before it to end. A folder that hangs must not keep the next from beginning: were
both to take a file, the journal would know it by its key."""
HANGING_SECONDS = 30.0
"""A plugin's code that takes longer is told of, as it may never end."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What works are made from; ``sinks`` are where the dreams of each folder are brought to, ``out_of_use`` the
    recipes that wait for a plugin, each with the reason. Plans with the same ``renderer`` share it."""

    settings: Settings
    book: RecipeBook
    renderer: Renderer
    sinks: FolderSinks = field(default_factory=dict)
    out_of_use: Mapping[str, str] = field(default_factory=dict)
    executor: Executor | None = None
    """Runs the devices, at most one call per device at a time; by default it has a thread for each."""

    @property
    def host(self) -> PluginHost:
        """The plugins."""
        return self.book.catalogue.host


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all works of a daemon have in common. ``on_changed`` and ``on_done`` hear of a picture that has to settle
    again and of a watched folder that has a new dream; both concern the works in force, whoever tells."""

    journal: Journal
    room: Room
    token: str
    stop: threading.Event
    beats: Heartbeats
    on_changed: Callable[[Path], None]
    on_done: Callable[[Path], None]


class Works:
    """Made from ``plan``, they stand still until :meth:`begin`; ``number`` counts the works of a daemon, ``noted`` is
    which directories the input folders were before.

    Making and starting them changes nothing, so that it may fail while others are in force."""

    def __init__(
        self, plan: Plan, shared: Shared, number: int = 1, *, noted: Mapping[Path, Root] | None = None
    ) -> None:
        settings, journal = plan.settings, shared.journal
        self.plan = plan
        self.number = number
        self.roots = Roots((folder.input for folder in settings.folders), noted)
        self._shared = shared
        self._out_of_use = _by_reason(plan.out_of_use)
        self._closed = threading.Event()
        """Nothing more is taken in or brought to sinks."""
        self._retired = threading.Event()
        self.gate = Gate()
        """Opened by :meth:`begin`."""
        self._before: Works | None = None
        self._lanes: Mapping[str, Callable[[], None]] = {}
        self._failure: BaseException | None = None
        stages = Stages(
            settings,
            book=plan.book,
            renderer=plan.renderer,
            journal=journal,
            roots=self.roots,
            room=shared.room,
            token=shared.token,
        )
        self.intake = Intake(
            settings,
            plan.book,
            journal,
            self.roots,
            lambda: self.pipeline.wake(),  # noqa: PLW0108  (it is made below)
            beat=partial(self._beat, INTAKE),
        )
        self.pipeline = Pipeline(
            settings,
            journal=journal,
            stages=stages,
            renderer=plan.renderer,
            roots=self.roots,
            room=shared.room,
            executor=plan.executor or DaemonThreads(MOST_DEVICES, "dream"),
            host=plan.host,
            on_changed=shared.on_changed,
            on_done=shared.on_done,
            more_troubles=lambda: {**self.troubles_with_plugins(), **self.disposer.hanging()},
            beat=partial(self._beat, PIPELINE),
        )
        routes = routes_of(settings, plan.sinks, journal.known_sinks())
        self.couriers = Couriers(routes, journal, plan.host.health, self._closed)
        self.disposer = Disposer(
            settings, journal, self.roots, self._closed, token=shared.token, on_changed=shared.on_changed
        )
        self._taker = self.gate.thread(f"intake {number}", self._take_in)
        self._worker = self.gate.thread(f"pipeline {number}", self._work)
        places = [path for folder in settings.folders for path in (folder.input, folder.output)]
        tidying = Tidying(journal, settings.keep_days, places)
        self._tidier = self.gate.thread(f"tidying {number}", partial(tidying.run, self._closed))
        self._undecided: tuple[Announced, ...] = ()

    def start(self, undecided: Iterable[Announced], before: Works | None, beside: Iterable[threading.Thread]) -> None:
        """Start all threads, those ``beside`` too; each waits for :meth:`begin`. ``undecided`` are outputs left from an
        earlier daemon, ``before`` the works that are retired then. Raises ``OSError`` if there is no thread to be had,
        and none has done anything."""
        self._undecided, self._before = tuple(undecided), before
        with self.gate.starting():
            for thread in (self._taker, self._tidier, self._worker, *beside):
                thread.start()
            self.couriers.start(None if before is None else before.couriers, self.gate.passes)
            self.disposer.start(None if before is None else before.disposer, self.gate.passes)

    def begin(self) -> None:
        """Have what was started begin; nothing of it fails."""
        self._lanes = {name: self._shared.beats.lane(name) for name in (INTAKE, PIPELINE)}
        self.gate.open()

    def retire(self) -> None:
        """Begin nothing more, and end when what is in flight has."""
        self._retired.set()
        self.close()
        self.pipeline.wake()

    def close(self) -> None:
        """Take nothing more in, and bring nothing more to sinks."""
        self._closed.set()
        self.intake.hints.wake()
        self.couriers.wake_all()
        self.disposer.wake()

    def published(self, folder: Path) -> None:
        """There is a new dream of a watched folder."""
        self.couriers.wake(folder)
        self.disposer.wake()

    @property
    def is_retired(self) -> bool:
        """Whether others are in force."""
        return self._retired.is_set()

    @property
    def is_over(self) -> bool:
        """Whether nothing is in flight any more; raises what ended it if that was no order."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self._worker.ident is not None and not self._worker.is_alive()

    def join(self) -> None:
        """Wait, once the daemon stops, until the pipeline has wound down; raises what ended it otherwise."""
        self._worker.join()
        _ = self.is_over

    def join_intake(self, seconds: float) -> None:
        """Wait for what is being recorded, after :meth:`close`."""
        self._taker.join(seconds)

    def troubles(self) -> list[str]:
        """Say what is not as it should be. Input folders that are away are not asked for here, as that may hang."""
        watcher = self.intake.watcher
        troubles = self.pipeline.troubles()
        if not self.is_retired:
            troubles += [f"{str(path)!r} {problem}" for path, problem in list(watcher.problems.items())]
            troubles += self.intake.unreadable.troubles()
            troubles += self.intake.troubles()
            troubles += self.couriers.troubles()
            troubles += self.disposer.troubles()
            troubles += self.troubles_with_plugins()
        return troubles

    def troubles_with_plugins(self) -> dict[str, str]:
        """Return what plugins keep from being done, each with what to do; another process cannot find it out."""
        advice = "If it does not end, restart the daemon, and leave the plugin out or make it quicker."
        hanging = {
            f"{what} of the plugin {plugin!r} has been running since "
            f"{time.strftime('%H:%M', time.localtime(time.time() - seconds))}": advice
            for plugin, what, seconds in [*self.plan.host.running(), *self.plan.renderer.running()]
            if seconds > HANGING_SECONDS and not what.startswith(SINK_CALL)  # those hold up no dream
        }
        return {**self._out_of_use, **hanging}

    def _beat(self, name: str) -> None:
        if name in self._lanes:
            self._lanes[name]()

    def _take_in(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before.join_intake(HANDOVER_SECONDS)
        self.intake.run(self._closed)

    def _work(self) -> None:
        try:
            self.pipeline.run(self._shared.stop, self._undecided, self._retired)
        except BaseException as error:  # noqa: BLE001  (raised again in the daemon's thread)
            self._failure = error


def _by_reason(recipes: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with recipes that wait for a plugin, the same only once, each with what to do."""
    told = {}
    for reason in dict.fromkeys(recipes.values()):
        names = ", ".join(repr(name) for name in recipes if recipes[name] == reason)
        told[f"pictures for {names} wait: {reason}"] = ADVICE
    return told

"""The works of a daemon, one after the other: the last is in force, those before it end in their own time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.pipeline.outcomes import REMEMBERED
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.telling import readable_path
from deepdream_daemon.publishing.recovery import sweep
from deepdream_daemon.running.snapshot import Active, Finished, Trouble
from deepdream_daemon.running.works import Plan, Shared, Works
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, Cancelled
from deepdream_plugins.events import DaemonStarted, DaemonStopping

log = structlog.get_logger("deepdream")

WORKER = "worker"
"""The name of its heartbeats."""


@runtime_checkable
class Attended(Protocol):
    """A renderer with a worker process that may die and is started again."""

    @property
    def beat(self) -> float:
        """When it last showed that it lives, by ``time.monotonic``."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        ...

    @property
    def last_death(self) -> str | None:
        """Why, the last time."""
        ...

    def check(self) -> bool:
        """Wait until it is ready, or was found not to start at the moment; tell whether it is ready. Raises
        ``BadOption`` if it will not before the configuration is corrected."""
        ...


@dataclass
class _Past:
    """What is told of works and workers that have ended."""

    finished: deque[Finished] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    errors: deque[Trouble] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    found_by_rescan: int = 0
    watcher_restarts: int = 0
    worker_restarts: int = 0
    last_death: str | None = None


class Generations:
    """Begins works, retires them, and buries those that are over. ``accept`` hears of the settings that are about to be
    in force, and may refuse them by raising; the numbers may be asked from any thread."""

    def __init__(self, shared: Shared, accept: Callable[[Settings], None]) -> None:
        self._shared = shared
        self._accept = accept
        self._changing = threading.Lock()
        self._is_closed = False
        self._works: tuple[Works, ...] = ()
        self._past = _Past()
        self._refusal: BadOption | None = None
        self._swept: set[Path] = set()
        self._spared: list[Path] = []

    @property
    def in_force(self) -> Works:
        """The works of the latest configuration."""
        return self._works[-1]

    def prepare(self, plan: Plan) -> None:
        """Make the first works: from now on a dream that is done goes to their sinks."""
        self._accept(plan.settings)
        works = Works(plan, self._shared, noted=self._shared.journal.noted_places())
        works.couriers.take_over()
        self._works = (works,)

    def begin(self, undecided: Iterable[Announced]) -> None:
        """Start the first works; ``undecided`` are outputs left from an earlier daemon."""
        undecided = list(undecided)
        self._spared = [out.temp for out in undecided]
        works = self.in_force
        self._attend(works)
        works.start(undecided)
        if isinstance(works.plan.renderer, Attended):
            threading.Thread(target=self._check, args=(works.plan.renderer,), name="check", daemon=True).start()
        _tell_started(works)
        log.info("started", folders=[str(folder.input) for folder in works.plan.settings.folders], pid=os.getpid())

    def take_up(self, plan: Plan) -> None:
        """Put ``plan`` in force beside what is in flight; whatever is raised, nothing has changed."""
        with self._changing:
            before = self.in_force
            if plan is before.plan:
                return
            try:
                works = self._next_works(plan)
            except BaseException:
                if plan.renderer is not before.plan.renderer:
                    plan.renderer.close()
                raise
            before.retire()
            if plan.host is not before.plan.host:
                _tell_stopping(before, self._shared)
            self._works = (*self._works, works)
            self._attend(works)
            works.start(before=before)
            if plan.host is not before.plan.host:
                _tell_started(works)
        log.info(
            "the configuration was taken up",
            generation=works.number,
            folders=[str(folder.input) for folder in plan.settings.folders],
        )

    def _next_works(self, plan: Plan) -> Works:
        before = self.in_force
        if self._is_closed:
            raise Cancelled("the daemon stops")
        self._accept(plan.settings)
        try:
            return Works(plan, self._shared, before.number + 1, noted=before.roots.seen())
        except BaseException:
            self._accept(before.plan.settings)
            raise

    def tend(self) -> None:
        """Bury what is over; raises what has ended works that were to go on, or what is wrong with the first plan that
        only its worker could find out."""
        if self._refusal is not None:
            raise self._refusal
        for works in self._works:
            if works.is_over and works.is_retired:
                with self._changing:
                    self._bury(works)

    def close(self) -> None:
        """The daemon stops: put nothing more in force, take nothing more in. The pipelines know by themselves."""
        with self._changing:
            self._is_closed = True
        _tell_stopping(self.in_force, self._shared)  # those before it with other plugins have told theirs
        for works in self._works:
            works.close()

    def join(self) -> None:
        """Wait until all pipelines have wound down."""
        for works in self._works:
            works.join()

    @property
    def plans(self) -> list[Plan]:
        """Those that are worked by, one of each renderer and each host."""
        found: dict[tuple[int, int], Plan] = {}
        for works in self._works:
            found[id(works.plan.renderer), id(works.plan.host)] = works.plan
        return list(found.values())

    # What they tell

    def active(self) -> tuple[Active, ...]:
        """Return what is under way."""
        return tuple(active for works in self._works for active in works.pipeline.active())

    def finished(self) -> tuple[Finished, ...]:
        """Return the latest dreams."""
        all_of_them = [
            *self._past.finished,
            *(one for works in self._works for one in works.pipeline.outcomes.finished),
        ]
        return tuple(all_of_them[-REMEMBERED:])

    def errors(self) -> tuple[Trouble, ...]:
        """Return the latest that was put off or failed."""
        all_of_them = [*self._past.errors, *(one for works in self._works for one in works.pipeline.outcomes.troubles)]
        return tuple(all_of_them[-REMEMBERED:])

    def troubles(self) -> list[str]:
        """Say what is not as it should be."""
        return list(dict.fromkeys(trouble for works in reversed(self._works) for trouble in works.troubles()))

    @property
    def found_by_rescan(self) -> int:
        """How many files no event had told of."""
        return self._past.found_by_rescan + sum(works.intake.found_by_rescan for works in self._works)

    @property
    def watcher_restarts(self) -> int:
        """How often a watcher was started again."""
        return self._past.watcher_restarts + sum(works.intake.watcher.restarts for works in self._works)

    @property
    def worker_restarts(self) -> int:
        """How often a worker was started again."""
        return self._past.worker_restarts + sum(worker.restarts for worker in self._workers())

    @property
    def last_death(self) -> str | None:
        """Why, the last time."""
        deaths = [worker.last_death for worker in self._workers() if worker.last_death is not None]
        return deaths[-1] if deaths else self._past.last_death

    def _workers(self) -> list[Attended]:
        renderers: dict[int, Renderer] = {id(works.plan.renderer): works.plan.renderer for works in self._works}
        return [renderer for renderer in renderers.values() if isinstance(renderer, Attended)]

    def _check(self, renderer: Attended) -> None:
        try:
            renderer.check()
        except BadOption as error:
            self._refusal = error

    def _attend(self, works: Works) -> None:
        """Begin what goes with works: the worker's heartbeats, and the sweeping of outputs that are new."""
        renderer, beats, journal = works.plan.renderer, self._shared.beats, self._shared.journal
        if isinstance(renderer, Attended):
            beats.follow(WORKER, lambda: renderer.beat)
        else:
            beats.forget(WORKER)
        outputs = {folder.output for folder in works.plan.settings.folders} - self._swept
        self._swept |= outputs
        arguments = (outputs, journal.instance, self._shared.token, self._spared, self._shared.stop)
        threading.Thread(target=sweep, args=arguments, name="sweep", daemon=True).start()

    def _bury(self, works: Works) -> None:
        """Forget works that are over, but not what they have done."""
        past, self._works = self._past, tuple(each for each in self._works if each is not works)
        past.finished += works.pipeline.outcomes.finished
        past.errors += works.pipeline.outcomes.troubles
        past.found_by_rescan += works.intake.found_by_rescan
        past.watcher_restarts += works.intake.watcher.restarts
        renderer = works.plan.renderer
        if all(each.plan.renderer is not renderer for each in self._works):
            if isinstance(renderer, Attended):
                past.worker_restarts += renderer.restarts
                past.last_death = renderer.last_death or past.last_death
            threading.Thread(target=renderer.close, name="close", daemon=True).start()
        log.info("what the former configuration had begun has ended", generation=works.number)


def _tell_started(works: Works) -> None:
    watched = tuple(readable_path(folder.input) for folder in works.plan.settings.folders)
    works.plan.host.tell(DaemonStarted(version=__version__, pid=os.getpid(), folders=watched))


def _tell_stopping(works: Works, shared: Shared) -> None:
    try:
        counts = shared.journal.counts()
    except sqlite3.Error as error:
        log.warning("the journal could not be read", error=str(error))
    else:
        works.plan.host.tell(DaemonStopping(queued=counts["queued"] + counts["waiting"]))

"""The works of a daemon, one after the other: the last is in force, those before it end in their own time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.telling import readable_path
from deepdream_daemon.publishing.recovery import sweep
from deepdream_daemon.running.attended import Attended
from deepdream_daemon.running.tally import Tally
from deepdream_daemon.running.works import Plan, Shared, Works
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, Cancelled
from deepdream_plugins.events import DaemonStarted, DaemonStopping

log = structlog.get_logger("deepdream")

WORKER = "worker"
"""The name of its heartbeats."""
SETTLE_SECONDS = 1.0
"""For plugins that listen; what they do not hear until then they never will."""


class Generations:
    """Begins works, retires them, and buries those that are over. ``accept`` hears of the settings that are about to be
    in force, and may refuse them by raising; :attr:`tally` has what all of them do and have done."""

    def __init__(self, shared: Shared, accept: Callable[[Settings], None]) -> None:
        self._shared = shared
        self._accept = accept
        self._changing = threading.Lock()
        self._is_closed = False
        self._works: tuple[Works, ...] = ()
        self.tally = Tally(lambda: self._works)
        self._refusal: BadOption | None = None
        self._swept: set[Path] = set()
        self._spared: list[Path] = []
        self._closed: list[Renderer] = []

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
        self._start(works, undecided)
        self._attend(works)
        works.begin()
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
            before.retire()  # from here on nothing may fail
            if plan.host is not before.plan.host:
                _tell_stopping(before, self._shared)
            self._works = (*self._works, works)
            self._attend(works)
            works.couriers.take_over()
            works.begin()
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
            works = Works(plan, self._shared, before.number + 1, noted=before.roots.seen())
            self._start(works, before=before)
        except BaseException:
            self._accept(before.plan.settings)
            raise
        return works

    def tend(self) -> None:
        """Bury what is over; raises what has ended works that were to go on, or what is wrong with the first plan that
        only its worker could find out."""
        if self._refusal is not None:
            raise self._refusal
        over = [works for works in self._works if works.is_over and works.is_retired]
        if over or self._needless():
            with self._changing:
                for renderer in self._needless():
                    self._closed.append(renderer)
                    threading.Thread(target=renderer.close, name="close", daemon=True).start()
                for works in over:
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

    def end(self, left: Callable[[], float]) -> None:
        """Have the renderers close and the plugins hear what they were told, in no more than ``left()`` seconds."""
        plans = [works.plan for works in self._works]
        closing = [
            threading.Thread(target=renderer.close, name="close", daemon=True)
            for renderer in {id(plan.renderer): plan.renderer for plan in plans}.values()
        ]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(left())
        for host in {id(plan.host): plan.host for plan in plans}.values():
            host.settle(min(SETTLE_SECONDS, left()))

    def _check(self, renderer: Attended) -> None:
        try:
            renderer.check()
        except BadOption as error:
            self._refusal = error
        except OSError as error:  # the first picture has it tried again
            log.warning("the worker could not be started", error=explain_error(error))

    def _start(self, works: Works, undecided: Iterable[Announced] = (), before: Works | None = None) -> None:
        """Start what begins with works, the sweeping of outputs that are new among it."""
        outputs = {folder.output for folder in works.plan.settings.folders} - self._swept
        shared = self._shared
        arguments = (outputs, shared.journal.instance, shared.token, self._spared, shared.stop)
        works.start(undecided, before, [works.gate.thread("sweep", partial(sweep, *arguments))])
        self._swept |= outputs

    def _attend(self, works: Works) -> None:
        """Listen to the heartbeats of its worker."""
        renderer, beats = works.plan.renderer, self._shared.beats
        if isinstance(renderer, Attended):
            beats.follow(WORKER, lambda: renderer.beat)
        else:
            beats.forget(WORKER)

    def _needless(self) -> list[Renderer]:
        """Return the renderers that nothing is dreamt with any more, though their works may not be over, and that are
        not closed."""
        works = self._works
        kept = {id(each.plan.renderer) for each in works if each.pipeline.needs_renderer} | set(map(id, self._closed))
        found = {id(each.plan.renderer): each.plan.renderer for each in works}
        return [renderer for number, renderer in found.items() if number not in kept]

    def _bury(self, works: Works) -> None:
        """Forget works that are over, but not what they have done."""
        self._works = tuple(each for each in self._works if each is not works)
        self.tally.bury(works)
        renderer = works.plan.renderer
        if all(each.plan.renderer is not renderer for each in self._works):
            self.tally.bury_worker(renderer)
            self._closed = [each for each in self._closed if each is not renderer]
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

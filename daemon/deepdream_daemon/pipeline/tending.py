"""What a pipeline looks after about once a second: what could not be written, decided or published is tried again, and
what takes too long, or needs a plugin that is disabled, is given up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.pipeline.gates import Gates
from deepdream_daemon.pipeline.given_up import took_too_long
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.notes import Notes
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.stations import Stations
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.publishing import records
from deepdream_plugins.hosting.guarding import PluginDisabled

if TYPE_CHECKING:
    from deepdream_daemon.journal.journal import Journal
    from deepdream_plugins.hosting.health import Health

RECORD_SECONDS = 0.2
"""For so long records that are missing are written in one turn: each waits for the disk, and pictures wait for it."""
MOST_RECORD_SECONDS = 30.0
"""How long at most a quarantine that cannot be written to is not tried again."""


class Tending:
    """Used by the pipeline's thread alone; the troubles may be asked from any. ``failed`` is told which jobs end, and
    with what; for each job there may be ``job_seconds`` of work."""

    def __init__(
        self,
        journal: Journal,
        stations: Stations,
        renderer: Renderer,
        health: Health,
        *,
        job_seconds: float,
        writes: LateWrites,
        undecided: Undecided,
        gates: Gates,
        notes: Notes,
        failed: Callable[[Task, BaseException], None],
    ) -> None:
        self._journal = journal
        self._stations = stations
        self._renderer = renderer
        self._health = health
        self._job_seconds = job_seconds
        self._writes = writes
        self._undecided = undecided
        self._gates = gates
        self._notes = notes
        self._failed = failed
        self._unending: list[str] = []
        self._unrecorded: Mapping[str, str] = {}
        self._record_at = self._record_seconds = 0.0

    def turn(self, now: float) -> None:
        """Look after everything once; ``now`` is by the monotonic clock."""
        self._writes.retry()
        self._make_up_records(now)
        self._undecided.decide(now)
        self.put_out_of_use()
        self._give_up_overdue()
        for folder, reason in self._gates.to_probe():
            self._stations.pools.probe(folder, reason, self._probed)

    def tell(self, busy_share: float | None, troubles: Mapping[str, str]) -> None:
        """Have other processes know."""
        self._notes.tell_busy(busy_share)
        self._notes.tell_troubles({**troubles, **self._unrecorded})

    def put_out_of_use(self) -> None:
        """Have others know which plugins are disabled, and give up what waits for the engine with one."""
        self._renderer.share_health(self._health)
        disabled = dict(self._health.disabled)
        if not self._notes.tell_disabled(disabled):
            return
        for task in self._stations.engine.take_back(
            lambda task: task.recipe and not disabled.keys().isdisjoint(task.recipe.plugins)
        ):
            try:
                self._health.require(task.recipe.plugins if task.recipe else ())
            except PluginDisabled as error:
                self._failed(task, error)

    def troubles(self) -> list[str]:
        """Say what cannot be written, decided or published."""
        full = ["the journal cannot be written to; it is tried again"] if self._writes else []
        return [*self._gates.reasons(), *self._undecided.troubles(), *self._unending, *self._unrecorded, *full]

    def _make_up_records(self, now: float) -> None:
        """Write the records of what has failed that could not be written then. Those in force see to it alone."""
        if self._notes.is_silent:
            self._unrecorded = {}
            return
        if now >= self._record_at:
            self._record_seconds = min(max(1.0, self._record_seconds * 2), MOST_RECORD_SECONDS)
            self._record_at = now + self._record_seconds
            with contextlib.suppress(OSError):  # it is noted
                records.make_up(self._journal, RECORD_SECONDS)
                self._record_at = self._record_seconds = 0.0
        self._unrecorded = records.troubles(self._journal)

    def _give_up_overdue(self) -> None:
        """Give up what takes too long. Whatever a thread still makes of it, nobody waits for that any more.

        What is announced goes on becoming visible: to settle it beside the thread that publishes it would be to publish
        it twice.
        """
        unending = []
        for task in self._stations.tasks.overdue(self._job_seconds):
            source = task.claim.source
            if task.give_up():
                self._failed(task, took_too_long(source, task.worked_seconds, self._job_seconds))
            else:
                unending.append(f"publishing the dream of {str(source)!r} into {str(task.directory)!r} has not ended")
        self._unending = unending

    def _probed(self, folder: FolderSettings, directory: Path, is_open: bool) -> None:
        if is_open:
            self._gates.open(folder, directory)
            self._undecided.hurry()
        else:
            self._gates.still_closed(folder, directory)

"""What is told of a daemon as a whole: to its own process by snapshots, to others by notes in the journal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.journal.journal import STATES, Journal
from deepdream_daemon.running.generations import Generations
from deepdream_daemon.running.snapshot import Snapshot

log = structlog.get_logger("deepdream")


class Overview:
    """From :meth:`begin` to :meth:`end` it looks at the journal and the works; before there is nothing to see, and
    afterwards what was seen last. ``beats()`` says how many seconds ago each part last showed that it lives."""

    def __init__(self, beats: Callable[[], Mapping[str, float]]) -> None:
        self._beats = beats
        self._ends = threading.Lock()
        self._last = Snapshot(counts=dict.fromkeys(STATES, 0))
        self._away: list[Path] = []
        self._free_bytes: Mapping[Path, int] = {}
        self._reload_error: str | None = None
        self._worker_seen: tuple[int, str | None] = (0, None)
        self._journal: Journal | None = None
        self._generations: Generations | None = None

    def begin(self, journal: Journal, generations: Generations) -> None:
        """Forget what was said of a daemon that has ended, and look from now on."""
        self._forget(journal)
        self._journal, self._generations = journal, generations

    def end(self, journal: Journal) -> None:
        """Look for the last time, and forget what concerns a daemon that runs: the journal is closed next."""
        self._forget(journal)
        with self._ends:
            with contextlib.suppress(sqlite3.Error):  # what was last seen is shown after the end, too
                self._last = self._seen()
            self._journal = None

    def note_reload_error(self, error: str | None) -> None:
        """Have others know what is wrong with the configuration that is not taken up, if anything."""
        self._reload_error = error
        with self._ends:
            if self._journal is not None:
                try:
                    self._journal.note_reload_error(error)
                except sqlite3.Error as problem:
                    log.warning("the journal could not be written", error=str(problem))

    def note_worker(self) -> None:
        """Have others know how often the worker was started again, and why."""
        journal, generations = self._journal, self._generations
        if journal is None or generations is None:
            return
        seen = generations.tally.worker_restarts, generations.tally.last_death
        if seen != self._worker_seen:
            try:
                journal.note_worker(*seen)
                self._worker_seen = seen
            except sqlite3.OperationalError as error:  # the disk is full; it is tried again
                log.debug("the journal could not be written", error=str(error))

    def snapshot(self) -> Snapshot:
        """Return what the daemon is doing now, or, when it has ended, did at last; before it runs, nothing."""
        generations = self._generations
        away: list[Path] = []
        free_bytes: Mapping[Path, int] = {}
        if self._journal is not None and generations is not None:  # both may hang, so nobody waits for them
            away = generations.in_force.roots.away()
            free_bytes = _free_bytes(generations.in_force.plan.settings)
        with self._ends:  # the journal is not closed meanwhile
            self._away, self._free_bytes = away, free_bytes
            try:
                self._last = self._seen()
            except sqlite3.Error as error:  # nobody who looks shall end because of it
                troubles = [f"the journal cannot be read: {error}", self._last.degraded]
                return replace(self._last, degraded="; ".join(filter(None, troubles)))
            return self._last

    def _seen(self) -> Snapshot:
        journal, generations = self._journal, self._generations
        if journal is None or generations is None:
            return self._last
        works, tally = generations.in_force, generations.tally
        troubles = [f"the input folder {os.fspath(path)!r} is away" for path in self._away]
        troubles += tally.troubles()
        if self._reload_error is not None:
            troubles.append(f"the changed configuration is not taken up: {self._reload_error}")
        return Snapshot(
            counts=journal.counts(),
            active=tally.active(),
            finished=tally.finished(),
            errors=tally.errors(),
            degraded="; ".join(troubles) or None,
            settling=works.intake.settling(),
            found_by_rescan=tally.found_by_rescan,
            watcher_restarts=tally.watcher_restarts,
            busy_share=works.pipeline.busy_share(),
            disabled=dict(works.plan.host.health.disabled),
            undelivered=journal.undelivered(),
            paused=journal.is_paused(),
            draining=journal.is_draining(),
            generation=works.number,
            reload_error=self._reload_error,
            worker_restarts=tally.worker_restarts,
            last_death=tally.last_death,
            queued_since=journal.queued_since(),
            free_bytes=self._free_bytes,
            beats=self._beats(),
        )

    @staticmethod
    def _forget(journal: Journal) -> None:
        try:
            journal.note_reload_error(None)
            journal.note_worker(0, None)
            journal.end_drain()
        except sqlite3.Error as error:  # the disk is full, or somebody holds the journal
            log.warning("the journal could not be written", error=str(error))


def _free_bytes(settings: Settings) -> dict[Path, int]:
    """Return how much room there is where the daemon writes."""
    found = {}
    for folder in [settings.state, *(each.output for each in settings.folders)]:
        with contextlib.suppress(OSError):  # it is away
            found[folder] = shutil.disk_usage(folder).free
    return found

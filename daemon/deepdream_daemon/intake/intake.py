"""Intake: every file below the watched folders is noticed, waited for until it is whole, and given its job
or reason.

One thread. Hints shorten the wait; scanning alone would find everything. The journal is asked, never
remembered.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.beside import Beside
from deepdream_daemon.intake.hints import Hints
from deepdream_daemon.intake.looking import Looking
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import folder_of
from deepdream_daemon.intake.settle import Settler
from deepdream_daemon.intake.taking import Taking
from deepdream_daemon.intake.watch import Watcher
from deepdream_daemon.journal.intake import Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")

TEND_SECONDS = 2.0
BATCH = 256
BATCH_SECONDS = 0.25
FAILED_LOOKED_AT = 1000
"""So many files of failed jobs are looked at by every rescan: no hint tells of a ``chmod``."""


class Intake:
    """Takes files in until told to stop; ``on_new`` is called when there are new jobs, ``beat`` every now and then."""

    def __init__(
        self,
        settings: Settings,
        book: RecipeBook,
        journal: Journal,
        roots: Roots,
        on_new: Callable[[], None],
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._on_new = on_new
        self._beat = beat
        self._room: int | None = None
        self._beside = Beside()
        self._taking = Taking(settings, book, journal, self._beside, beat=beat)
        self._settler = Settler(settings.settle_seconds)
        self._roots = roots
        self._rescans = 0
        self._journal_version = (-1, -1)
        self._again: set[Path] = set()
        self._rescan_at = 0.0
        self._tend_at = 0.0
        self.hints = Hints()
        polled = [folder.input for folder in settings.folders if folder.polling]
        self.watcher = Watcher((folder.input for folder in settings.folders), self.hints, polled)
        self._looking = Looking(
            settings, journal, settler=self._settler, beside=self._beside, watcher=self.watcher, beat=beat
        )
        self.unreadable = self._looking.unreadable

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; no error ends the loop."""
        try:
            while not stop.is_set():
                try:
                    self.step()
                except Exception as error:
                    log.exception("intake failed, it goes on", error=explain_error(error))
                    stop.wait(1.0)
        finally:
            self.watcher.stop()

    @property
    def found_by_rescan(self) -> int:
        """How many new files no event had told of."""
        return self.watcher.found_by_rescan

    def settling(self) -> int:
        """Return how many files are being waited for."""
        return len(self._settler)

    def troubles(self) -> list[str]:
        """Say what keeps files from being taken; may be asked from any thread."""
        waiting = len(self._settler)
        if self._room != 0 or not waiting or self._settings.max_queued is None:
            return []
        return [
            f"the queue is full ([daemon] max_queued = {self._settings.max_queued}): {waiting} more files wait in "
            "their folders"
        ]

    def step(self) -> None:
        """Look after the folders, follow the hints, take what is whole."""
        self._beat()
        now = time.monotonic()
        if now >= self._tend_at:
            self._tend_at = now + TEND_SECONDS
            self._tend()
        if now >= self._rescan_at:
            self._rescan()
        paths, overflowed = self.hints.drain(self._wait_seconds())
        self._beside.next_turn()
        if overflowed:
            log.warning("more changes than could be noted: all folders are scanned")
            self._rescan_at = 0.0
        for path in paths:
            self._looking.follow(path)
        self._take_settled()

    def _wait_seconds(self) -> float:
        due = None if self._room == 0 else self._settler.next_due()
        return 0.5 if due is None else min(0.5, max(due, 0.001))

    def _tend(self) -> None:
        there, before = frozenset(self._roots.there()), self._looking.there
        for folder in before - there:
            log.warning("the input folder is away; it is waited for", folder=str(folder))
        for folder in there - before:
            log.info("the input folder is there", folder=str(folder))
        self._looking.there = there
        for folder in there & {*self.watcher.tend(), *(there - before)}:
            self._looking.scan(folder, look_at_all=True)

    def _rescan(self) -> None:
        """Scan all folders; the first time, look at every file."""
        if not self._rescans:
            # The configuration may be another one.
            self._journal.reconsider(folder.input for folder in self._settings.folders if folder.copy_through)
        self._looking.quiet.next_turn()
        if (version := self._journal.version()) != self._journal_version:
            self._journal_version = version  # a file may have been forgotten
            self._looking.quiet.forget()
        for root in filter(self._roots.is_there, self._looking.there):
            is_told_of = self.watcher.is_watched(root)
            self._looking.scan(root, look_at_all=not self._rescans or not is_told_of, is_rescan=self._rescans > 0)
        again, self._again = self._again, set()
        for path in (*again, *self._journal.latest_failed(FAILED_LOOKED_AT)):
            self._looking.follow(path)
        for path in self._journal.expecting():
            folder = folder_of(self._settings.folders, path)
            if folder is not None and folder.input in self._looking.there and not os.path.lexists(path):
                self._journal.expect_no_more(path)
        self._rescans += 1
        self._journal.mend_clock()
        self._rescan_at = time.monotonic() + self._settings.rescan_seconds

    def _take_settled(self) -> None:
        batch: list[Taken] = []
        until = time.monotonic() + BATCH_SECONDS
        self._room = self._room_in_queue()
        most = BATCH if self._room is None else min(BATCH, self._room)
        while time.monotonic() < until and len(batch) < most:
            self._beat()
            due = self._settler.due(1)
            if not due:
                break
            taken = self._take(due[0])
            if taken is not None:
                batch.append(taken)
        if batch:
            try:
                self._taking.record(batch)
            except Exception:
                self._again.update(taken.path for taken in batch)
                raise
            self._on_new()

    def _room_in_queue(self) -> int | None:
        """Return how many more files may be queued; ``None`` for any number."""
        if self._journal.is_draining():
            return 0
        most = self._settings.max_queued
        return None if most is None else max(0, most - self._journal.queued())

    def _take(self, path: Path) -> Taken | None:
        """Decide about a file that has been quiet for long enough; ``None`` when it has to settle again."""
        try:
            beside = self._beside.names(path.parent)
            fingerprint = sources.fingerprint(path, beside)
            if not self._settler.confirm(path, fingerprint):
                self._beside.forget(path.parent)
                return None
            return self._taking.decide(path, fingerprint, beside)
        except (FileNotFoundError, NotADirectoryError):
            self._settler.forget(path)
            return None
        except sources.Changed:
            self._settler.forget(path)
            self._beside.forget(path.parent)
            self.hints.put(path)
            return None
        except Exception as error:
            # Whatever this file does to us, its neighbours are taken; it comes up again with the next rescan.
            self._again.add(path)
            self._settler.forget(path)
            log.exception("a file could not be taken", path=str(path), error=explain_error(error))
            return None

"""Intake: every file below the watched folders is noticed, waited for until it is whole, and given its job
or reason.

One thread. Hints shorten the wait; scanning alone would find everything. The journal is asked, never
remembered.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.explaining.absent import ADVICE, absence
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.asking import Asking
from deepdream_daemon.intake.companions import BadCompanion, MissingCompanion
from deepdream_daemon.intake.hints import Hints
from deepdream_daemon.intake.kinds import ignored_in, may_be_picture
from deepdream_daemon.intake.quiet import Quiet
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.scan import classify, left_out, names_beside, pictures_of, walk
from deepdream_daemon.intake.selection import (
    choose_companions,
    choose_recipe,
    copy_key,
    derive_seed,
    failed_key,
    folder_of,
    job_key,
    recipe_of_folder,
)
from deepdream_daemon.intake.settle import Settler
from deepdream_daemon.intake.twins import twin_of
from deepdream_daemon.intake.unreadable import Unreadable
from deepdream_daemon.intake.watch import Watcher
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.intake import NewJob, Recorded, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error, judge
from deepdream_daemon.pipeline.telling import job_facts
from deepdream_daemon.publishing import quarantine
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_plugins.events import JobFailed

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
        self._book = book
        self._journal = journal
        self._on_new = on_new
        self._beat = beat
        self._ignored = {folder.input: ignored_in(settings, folder) for folder in settings.folders}
        self._room: int | None = None
        self._limit_bytes = sources.limit_bytes(settings.pictures.max_megapixels)
        self._settler = Settler(settings.settle_seconds)
        self._roots = roots
        self._there: frozenset[Path] = frozenset()
        self._rescans = 0
        self._quiet = Quiet()
        self._journal_version = -1
        self._rescan_at = 0.0
        self._tend_at = 0.0
        self.hints = Hints()
        self.unreadable = Unreadable()
        polled = [folder.input for folder in settings.folders if folder.polling]
        self.watcher = Watcher((folder.input for folder in settings.folders), self.hints, polled)
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; no error ends the loop."""
        try:
            while not stop.is_set():
                try:
                    self.step()
                except Exception as error:
                    self.errors += 1
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
        if overflowed:
            log.warning("more changes than could be noted: all folders are scanned")
            self._rescan_at = 0.0
        for path in paths:
            self._follow(path)
        self._take_settled()

    def _wait_seconds(self) -> float:
        due = None if self._room == 0 else self._settler.next_due()
        return 0.5 if due is None else min(0.5, max(due, 0.001))

    def _tend(self) -> None:
        there = frozenset(self._roots.there())
        for folder in self._there - there:
            log.warning("the input folder is away; it is waited for", folder=str(folder))
        for folder in there - self._there:
            log.info("the input folder is there", folder=str(folder))
        self._there = there
        for folder in self.watcher.tend():
            self._scan(folder, look_at_all=True)

    def _rescan(self) -> None:
        """Scan all folders; the first time, look at every file."""
        if not self._rescans:
            # The configuration may be another one.
            self._journal.reconsider(folder.input for folder in self._settings.folders if folder.copy_through)
        self._quiet.next_turn()
        if (version := self._journal.version()) != self._journal_version:
            self._journal_version = version  # somebody may have had a file forgotten
            self._quiet.forget()
        for root in self._there:
            is_told_of = self.watcher.is_watched(root)
            self._scan(root, look_at_all=not self._rescans or not is_told_of, is_rescan=self._rescans > 0)
        for path in self._journal.latest_failed(FAILED_LOOKED_AT):
            self._follow(path)
        for path in self._journal.expecting():
            folder = folder_of(self._settings.folders, path)
            if folder is not None and folder.input in self._there and not os.path.lexists(path):
                self._journal.expect_no_more(path)
        self._rescans += 1
        self._journal.mend_clock()
        self._rescan_at = time.monotonic() + self._settings.rescan_seconds

    def _scan(self, directory: Path, *, look_at_all: bool, is_rescan: bool = False) -> None:
        known = self._journal.known
        ignore = self._ignored[next(root for root in self._ignored if directory.is_relative_to(root))]
        seen: tuple[Path | None, dict[str, str], frozenset[str]] = (None, {}, frozenset())
        failed: dict[Path, OSError] = {}
        quiet = self._quiet if is_rescan else None
        for path in walk(directory, known, ignore, look_at_all=look_at_all, on_error=failed.__setitem__, quiet=quiet):
            self._beat()
            try:
                if (parent := path.parent) != seen[0]:
                    seen = (parent, known(parent), names_beside(parent))
                fingerprint = sources.fingerprint(path, seen[2])
            except PermissionError as error:
                failed[path.parent] = error
                continue
            except (OSError, sources.Changed):
                continue  # gone already, or not a file any more
            if seen[1].get(path.name) != fingerprint:
                if is_rescan and path.name not in seen[1] and path not in self._settler:
                    self.watcher.found(path)
                self._settler.see(path, fingerprint)
        self.unreadable.scanned(directory, failed)

    def _follow(self, hint: Path) -> None:
        folder = folder_of(self._settings.folders, hint)
        if folder is None:
            return
        try:
            if hint.is_dir() and not hint.is_symlink():
                if left_out(hint, folder.input, self._ignored[folder.input]) is None:
                    self._scan(hint, look_at_all=True)
                return
        except OSError:
            return  # gone already; were it to return, another hint or a scan will tell
        for path in pictures_of(hint):
            try:
                if classify(path, folder.input, self._ignored[folder.input]) is None:
                    fingerprint = sources.fingerprint(path)
                    if not self._journal.is_known(path, fingerprint):
                        self._settler.see(path, fingerprint)
            except (OSError, sources.Changed):
                continue  # likewise

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
            self._record(batch)

    def _room_in_queue(self) -> int | None:
        """Return how many more files may be queued; ``None`` for any number."""
        if self._journal.is_draining():
            return 0
        most = self._settings.max_queued
        return None if most is None else max(0, most - self._journal.queued())

    def _take(self, path: Path) -> Taken | None:
        """Decide about a file that has been quiet for long enough; ``None`` when it has to settle again."""
        try:
            fingerprint = sources.fingerprint(path)
            if not self._settler.confirm(path, fingerprint):
                return None
            return self._decide(path, fingerprint)
        except (FileNotFoundError, NotADirectoryError):
            self._settler.forget(path)
            return None
        except sources.Changed:
            self._settler.forget(path)
            self.hints.put(path)
            return None
        except Exception as error:
            # Whatever this file does to us, its neighbours are taken; it comes up again with the next full
            # scan.
            self._settler.forget(path)
            self.errors += 1
            log.exception("a file could not be taken", path=str(path), error=explain_error(error))
            return None

    def _decide(self, path: Path, fingerprint: str) -> Taken | None:
        folder = folder_of(self._settings.folders, path)
        if folder is None:
            return None
        sha256, name = "", recipe_of_folder(folder, path, self._book)
        asking = Asking(folder, path, self._book)
        try:
            if folder.copy_through and not may_be_picture(path, folder.input):
                key = copy_key(path, fingerprint)  # it may be large; whoever copies it sees what is in it
                copy = NewJob(key=key, folder=folder.input, sha256="", recipe=COPIED, seed=0)
                return Taken(path=path, fingerprint=fingerprint, job=copy)
            source = sources.read(path, self._limit_bytes, keep=False, root=folder.input)
            if source.fingerprint != fingerprint:
                raise sources.Changed(f"{path} changed after it had settled")
            sha256 = source.sha256
            hit("intake.hashed")
            output = self._journal.output_with(sha256)
            if output is not None:
                reason = f"it is a dream of this daemon already, the same as {str(output)!r}"
                return Taken(path=path, fingerprint=fingerprint, reason=reason)
            recipe = choose_recipe(folder, path, self._book, asking)
            name = recipe.name
            used = choose_companions(path, recipe, self._limit_bytes, root=folder.input)
            seed = derive_seed(sha256, recipe)
            key = job_key(sha256, path, recipe, seed, used)
            if self._journal.find_by_key(key) is None:
                twin = twin_of(self._journal, folder, path, sha256=sha256, recipe=recipe, seed=seed, used=used)
                if twin is not None:
                    return Taken(path=path, fingerprint=fingerprint, reason=twin)
        except (BadPicture, BadOption, PermissionError) as error:
            key = failed_key(sha256, path, fingerprint, f"{name} {error}")
            job = _refused(NewJob(key=key, folder=folder.input, sha256=sha256, recipe=name, seed=0), path, error)
        else:
            order = Order(folder.source, fingerprint)
            job = NewJob(key=key, folder=folder.input, sha256=sha256, recipe=recipe.name, seed=seed, order=order)
        if asking.fault:
            log.warning("a plugin failed", path=str(path), error=asking.fault)
        job = replace(job, choice=asking.recipe, chosen_by=asking.plugin, note=asking.fault)
        return Taken(path=path, fingerprint=fingerprint, job=job)

    def _record(self, batch: Sequence[Taken]) -> None:
        recorded = self._recorded(batch)
        hit("intake.recorded")
        for entry in recorded:
            path, job = entry.taken.path, entry.taken.job
            for old in entry.replaced:
                quarantine.remove(self._journal.state, old, path)
            if entry.state == "failed" and job is not None and job.error is not None and entry.job is not None:
                facts = {"reason": job.error, "advice": job.advice, "attempts": 1, "failed": time.time()}
                quarantine.write(self._journal.state, entry.job, path, facts)
                log.error("failed", job=entry.job, path=str(path), error=job.error, advice=job.advice)
                if entry.is_new:
                    told = job_facts(entry.job, path, job.folder, job.recipe)
                    failed = JobFailed(**told, error=job.error, advice=job.advice or "", final=True)
                    self._book.catalogue.host.tell(failed)
            elif job is not None and job.expects and entry.is_new:
                log.warning("waits", job=entry.job, path=str(path), reason=job.error, advice=job.advice)
            else:
                log.info(entry.state, job=entry.job, path=str(path), reason=entry.taken.reason or None)
        self._on_new()

    def _recorded(self, batch: Sequence[Taken]) -> list[Recorded]:
        """Record all at once or, when that fails, one by one: none keeps its neighbours out."""
        try:
            return self._journal.record(batch)
        except sqlite3.OperationalError:
            raise  # the disk is full, or the journal locked: the next scan finds them again
        except Exception as error:
            if len(batch) == 1:
                self.errors += 1
                path = str(batch[0].path)
                log.exception("a file could not be recorded", path=path, error=explain_error(error))
                return []
            return [entry for taken in batch for entry in self._recorded([taken])]


def _refused(job: NewJob, path: Path, error: Exception) -> NewJob:
    """Return ``job`` as failed from the start, or waiting for a companion or a plugin: the picture at ``path`` cannot
    be read, or nobody can tell what its recipe is.
    """
    if isinstance(error, MissingCompanion):
        return replace(job, expects=True, error=f"waits: {error.short}", advice=error.advice)
    if reason := absence(error):
        return replace(job, expects=True, error=f"waits: {reason}", advice=ADVICE)
    advice = judge(error, path).advice
    if isinstance(error, BadOption) and not isinstance(error, BadCompanion):
        advice = "Correct it and save the file; the picture is then taken by itself."
    return replace(job, error=explain_error(error), advice=advice)

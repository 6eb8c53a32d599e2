"""Tidying the journal: what ended more than ``keep_days`` ago is forgotten, once its file is gone, too.

What is needed to know a file again, be it a picture or a dream, is kept for as long as the file is there; and a file is
gone only if the folder that it was in is there to say so, for a disk that is not mounted has lost nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.retention import ENDED
from deepdream_daemon.publishing import preview, quarantine
from deepdream_daemon.running.spools import sweep_spools

log = structlog.get_logger("deepdream")

DAY_SECONDS = 86_400.0
FEW, PAUSE_SECONDS = 100, 1.0
"""So many rows are looked at in one go, and so long nothing is done between two: some 0.2 % of a core."""
LOOK_SECONDS = 60.0
FIRST_SECONDS, SWEEP_SECONDS = 600.0, 86_400.0
AGAIN_SECONDS = 600.0
LINES = 50
"""So many lines of a file's history are kept however old they are."""


class Tidying:
    """Sweeps ``journal`` once a day; ``folders`` are those that are watched and written to."""

    def __init__(self, journal: Journal, keep_days: float | None, folders: Iterable[Path]) -> None:
        self._journal = journal
        self._keep_seconds = None if keep_days is None else keep_days * DAY_SECONDS
        self._folders = sorted(set(folders), key=lambda path: len(path.parts), reverse=True)
        self._places = journal.noted_places()

    def run(self, stop: threading.Event) -> None:
        """Sweep until ``stop``, a little at a time; no error ends it."""
        keep = float("inf") if self._keep_seconds is None else self._keep_seconds  # the places are noted all the same
        between = min(SWEEP_SECONDS, keep)
        due = time.monotonic() + min(FIRST_SECONDS, keep)
        spools_due = 0.0
        while not stop.is_set():
            self._try(self.look_at_places, stop)
            self._try(partial(preview.withdraw, self._journal, self._folders), stop)
            if time.monotonic() >= spools_due:
                spools_due = time.monotonic() + FIRST_SECONDS
                self._try(partial(sweep_spools, self._journal), stop)
            if time.monotonic() >= due:
                due = time.monotonic() + between
                if not self._try(partial(self._sweep_slowly, stop), stop):
                    due = time.monotonic() + min(AGAIN_SECONDS, between)
            stop.wait(min(LOOK_SECONDS, max(0.1, due - time.monotonic())))

    def _try(self, step: Callable[[], object], stop: threading.Event) -> bool:
        """Take a step; one that fails keeps none of the others from being taken."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  (it is told of, and tried again)
            if not stop.is_set():  # otherwise the journal was closed
                log.warning("the journal could not be tidied, it is tried again", error=str(error))
            return False
        return True

    def look_at_places(self) -> None:
        """Remember which directory each folder is as long as there is something in it: an empty one may be the place
        under a disk that was unmounted, and so is any that was a disk."""
        noted = self._journal.noted_places()  # somebody may have had one forgotten
        found = {path: root for path, root in noted.items() if path in self._folders}
        for path in self._folders:
            root, known = None if _is_empty(path) else Root.of(path), found.get(path)
            if root is not None and not (known is not None and known.is_mount and not root.is_mount):
                found[path] = replace(root, device=0)  # a device's number changes
        if found != noted:
            self._journal.note_places(found)
        self._places = found

    def sweep(self) -> Iterator[int]:
        """Look at everything once; yield after every few rows how many were forgotten."""
        if self._keep_seconds is None:
            return
        now = time.time()
        before = now - self._keep_seconds
        self._journal.mend_ended(now + DAY_SECONDS)
        for state in ENDED:
            for jobs in self._journal.ended(state, before, FEW):
                gone = [job for job in jobs if self.is_gone(job.source)]
                for job in gone:  # first: a record without a job is found below, but only when it is old
                    quarantine.remove(self._journal.state, job.id, job.source)
                yield self._journal.forget_ended(gone)
        for outputs in self._journal.lone_outputs(FEW):
            yield self._journal.forget_outputs([each for each in outputs if self.is_gone(each[1])])
        for files in self._journal.lone_files(FEW):
            yield self._journal.forget_files([file for file in files if self.is_gone(file)], before)
        for histories in self._journal.histories(FEW):
            old = [file for file, _, latest in histories if latest < before and self.is_gone(file)]
            long = [file for file, lines, _ in histories if lines > LINES]
            yield self._journal.forget_histories(old) + self._journal.shorten_histories(long, LINES, before)
        yield from self._records(before)

    def is_gone(self, path: Path) -> bool:
        """Tell whether there is no file at ``path``, for sure."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            root = next((folder for folder in self._folders if path.is_relative_to(folder)), None)
            if root is None:  # of another configuration: at least what it was in has to be there
                return path.parent.is_dir() and not _is_empty(path.parent)
            known, now = self._places.get(root), Root.of(root)
            return known is not None and now is not None and now.resembles(known)
        except OSError:
            return False  # it may be there
        return False

    def _sweep_slowly(self, stop: threading.Event) -> None:
        count = 0
        for forgotten in self.sweep():
            count += forgotten
            if stop.wait(PAUSE_SECONDS):
                break
        if count:
            log.info("forgotten, as it ended long ago", entries=count)

    def _records(self, before: float) -> Iterator[int]:
        """Remove quarantine records without a failed job: the daemon was killed between the two."""
        try:
            entries = list(os.scandir(self._journal.state / quarantine.FOLDER))
        except FileNotFoundError:
            return
        for entry in entries:
            job = entry.name.partition("-")[0]
            with contextlib.suppress(OSError):
                is_old = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before
                if is_old and not (job.isdecimal() and self._journal.has_failed(int(job))):
                    Path(entry.path).unlink()
                    yield 1


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True

"""Hints from the operating system about what changed. They may be late, doubled or missing; the scan is
the truth.

A handler only puts a path on a queue. Every thread of every observer is looked after: a watch whose thread
died, or whose folder is another one now, is made anew, and its folder scanned. So is one that misses what a scan finds;
if it goes on missing, scans must do.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from deepdream_daemon.intake import mounts
from deepdream_daemon.intake.hints import Hints, Losses
from deepdream_daemon.intake.roots import Root

log = structlog.get_logger("deepdream")

RETRY_SECONDS = 30.0
DISTRUST_SECONDS = 3600.0
"""A folder whose events were missed again and again is only scanned for so long."""
MISSES = 3
"""So many times within that time, a folder's watch is started again because of what it missed."""
LOSSY_SECONDS = 60.0
"""After an overflow it is known why files were missed, and starting again would not help."""
# Where closing is reported it stands for any number of changes; elsewhere each change is reported.
_CHANGED: type[FileSystemEvent] = FileClosedEvent if sys.platform == "linux" else FileModifiedEvent
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    _CHANGED,
    DirCreatedEvent,
    DirMovedEvent,
]
_ROOT_ITSELF = 0x2000_0000 | 0x0200_0000 | 0x0000_0400  # IN_MASK_ADD, IN_DONT_FOLLOW, IN_DELETE_SELF


@dataclass
class _Watch:
    observer: BaseObserver | None
    root: Root
    losses: Losses
    retry_at: float = float("inf")
    since: float = field(default_factory=time.time)

    @property
    def reader(self) -> Any:
        """The thread that reads for all emitters of the observer on Linux."""
        return getattr(self.observer, "_inotify_fd", None)


class Watcher:
    """Observers for some folders, kept alive by :meth:`tend`; those of ``polled``, and those on network file systems,
    have none. Used by one thread; the figures may be read from any.
    """

    def __init__(self, folders: Iterable[Path], hints: Hints, polled: Collection[Path] = ()) -> None:
        # watchdog 7.1 warns, at great length, when a new directory is both met in a walk and reported: harmless.
        warnings.filterwarnings("ignore", r"Callback with id .* already exists", RuntimeWarning)
        self._folders = tuple(folders)
        self._hints = hints
        self._asked_for = frozenset(polled)
        self._watches: dict[Path, _Watch] = {}
        self._misses: dict[Path, list[float]] = {}
        self._overflows = 0
        self._mounts: list[tuple[str, str]] | None = None
        self.restarts = 0
        self.found_by_rescan = 0
        """New files that no event told of, in folders that are not watched too."""
        self.problems: dict[Path, str] = {}
        self.polled: dict[Path, str] = {}
        """Folders that are scanned and not watched, as they should be, and why."""

    @property
    def overflows(self) -> int:
        """How often changes came faster than they could be told of."""
        return self._overflows + sum(watch.losses.count for watch in list(self._watches.values()))

    def tend(self) -> list[Path]:
        """Start what is not watched, restart what has died or misses files; return the folders that need a scan
        because of it.

        A folder that is not there is left alone until it returns.
        """
        failed = self._judge_missed()
        self._mounts = None  # asked for again, once for all folders
        fresh: list[Path] = []
        for folder in self._folders:
            root = Root.of(folder)
            watch = self._watches.get(folder)
            if root is None:
                if watch is not None:
                    self._drop(folder)
                continue
            if watch is not None and watch.root == root and folder not in failed and _is_well(watch):
                continue
            if watch is not None:
                self._drop(folder)
                if watch.root == root and watch.observer is not None:
                    self.restarts += 1
                    log.warning("watching restarted", folder=str(folder))
            self._watches[folder] = self._start(folder, root)
            if watch is None or watch.observer is not None or self._watches[folder].observer is not None:
                fresh.append(folder)
        return fresh

    def is_watched(self, folder: Path) -> bool:
        """Tell whether changes below ``folder`` are told of; if not, only looking at every file shows them."""
        watch = self._watches.get(folder)
        return watch is not None and watch.observer is not None and folder not in self.problems

    def found(self, path: Path) -> None:
        """A rescan found a new file; if no event tells of it soon, the watch of its folder has missed it."""
        folder = self._folder_of(path)
        watch = None if folder is None else self._watches.get(folder)
        if watch is None or watch.observer is None:
            self.found_by_rescan += 1
            return
        try:
            # What lay there before was not missed; a restart of the watch does not count it again, either.
            if os.lstat(path).st_ctime > watch.since:
                self._hints.unhinted.found(path)
        except OSError:
            return  # gone already

    def stop(self) -> None:
        """Stop all observers."""
        for folder in list(self._watches):
            self._drop(folder)

    def _folder_of(self, path: Path) -> Path | None:
        return next((folder for folder in self._folders if path.is_relative_to(folder)), None)

    def _judge_missed(self) -> set[Path]:
        """Return the folders whose watches missed files for no known reason."""
        failed: set[Path] = set()
        now = time.monotonic()
        for path in self._hints.unhinted.missed():
            folder = self._folder_of(path)
            watch = None if folder is None else self._watches.get(folder)
            self.found_by_rescan += 1
            if folder is None or watch is None or watch.observer is None or now - watch.losses.at < LOSSY_SECONDS:
                continue
            if folder not in failed and folder not in self.problems:
                log.warning("a file appeared that no event told of", path=str(path), folder=str(folder))
                if not self._lacks_watches(folder, watch, path):
                    failed.add(folder)
        for folder in failed:
            recent = [at for at in self._misses.get(folder, ()) if now - at < DISTRUST_SECONDS]
            self._misses[folder] = [*recent, now]
        return failed

    def _lacks_watches(self, folder: Path, watch: _Watch, path: Path) -> bool:
        """Tell whether the system's limit kept a sub-folder from being watched; watchdog keeps quiet about that."""
        if watch.reader is None:
            return False
        try:
            watch.reader.add_callback(os.fsencode(path.parent), _ROOT_ITSELF, watch.losses, id(watch.losses))
        except OSError as error:
            self.problems[folder] = (
                f"cannot be watched whole ({error}); it is scanned as well. Raise the limit: "
                "sysctl fs.inotify.max_user_watches=1048576"
            )
            log.warning("cannot be watched whole, it is scanned as well", folder=str(folder), error=str(error))
            watch.retry_at = time.monotonic() + DISTRUST_SECONDS
            return True
        return False

    def _start(self, folder: Path, root: Root) -> _Watch:
        losses = Losses(self._hints)
        unwatched = _Watch(None, root, losses)
        if (reason := self._reason_to_poll(folder)) is not None:
            if self.polled.get(folder) != reason:
                log.info("scanned, not watched", folder=str(folder), reason=reason)
            self.polled[folder] = reason
            return unwatched
        self.polled.pop(folder, None)
        if len(self._misses.get(folder, ())) >= MISSES:
            self._misses.pop(folder)
            self.problems[folder] = "is not told of by the system when files appear in it; it is scanned instead"
            log.warning("cannot be watched, it is scanned instead", folder=str(folder), error="events are missing")
            unwatched.retry_at = time.monotonic() + DISTRUST_SECONDS
            return unwatched
        watch = unwatched
        try:
            watch = _Watch(Observer(), root, losses)
            assert watch.observer is not None
            watch.observer.schedule(self._hints, str(folder), recursive=True, event_filter=_EVENTS)
            watch.observer.start()
            if watch.reader is not None:
                watch.reader.add_callback(os.fsencode(folder), _ROOT_ITSELF, losses, id(losses))
        except (OSError, RuntimeError) as error:  # mostly: the limit on inotify instances or watches
            if watch.observer is not None:
                watch.observer.stop()  # its reader runs already, and has a descriptor
            if folder not in self.problems:
                log.warning("cannot be watched, it is scanned instead", folder=str(folder), error=str(error))
            self.problems[folder] = f"cannot be watched ({error}); it is scanned instead"
            unwatched.retry_at = time.monotonic() + RETRY_SECONDS
            return unwatched
        self.problems.pop(folder, None)
        return watch

    def _reason_to_poll(self, folder: Path) -> str | None:
        if folder in self._asked_for:
            return "the configuration asks for polling"
        if self._mounts is None:
            self._mounts = mounts.all_mounts()
        kind = mounts.kind_of(folder, self._mounts)
        return f"no events come from its file system ({kind}) when others change it" if mounts.is_remote(kind) else None

    def _drop(self, folder: Path) -> None:
        watch = self._watches.pop(folder)
        self._overflows += watch.losses.count
        if watch.observer is not None:
            watch.observer.stop()
            if watch.observer.is_alive():
                watch.observer.join(2.0)


def _is_well(watch: _Watch) -> bool:
    if time.monotonic() >= watch.retry_at:
        return False
    if watch.observer is None:
        return True
    threads: list[threading.Thread] = [watch.observer, *watch.observer.emitters]
    if isinstance(watch.reader, threading.Thread):
        threads.append(watch.reader)
    return bool(watch.observer.emitters) and all(thread.is_alive() for thread in threads)

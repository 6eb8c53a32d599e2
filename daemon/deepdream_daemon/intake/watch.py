"""Hints from the operating system about what changed. They may be late, doubled or missing; the scan is
the truth.

A handler only puts a path on a queue. Every thread of every observer is looked after: a watch whose thread
died, or whose folder is another one now, is made anew, and its folder scanned.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from deepdream_daemon.intake.roots import Root

log = structlog.get_logger("deepdream")

RETRY_SECONDS = 30.0
MAX_HINTS = 200_000
# Where closing is reported it stands for any number of changes; elsewhere each change is reported.
_CHANGED: type[FileSystemEvent] = FileClosedEvent if sys.platform == "linux" else FileModifiedEvent
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    _CHANGED,
    DirCreatedEvent,
    DirMovedEvent,
]


class Hints(FileSystemEventHandler):
    """The queue of paths worth a look; ``None`` on it only ends a wait."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Path | None] = queue.Queue(MAX_HINTS)
        self._overflowed = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note the path; runs in watchdog's thread, where an exception would end all watching."""
        try:
            self.put(Path(os.fsdecode(event.dest_path or event.src_path)))
        except (OSError, ValueError, TypeError):
            self._overflowed.set()

    def put(self, path: Path) -> None:
        """Note that ``path`` deserves a look; never blocks."""
        try:
            self._queue.put_nowait(path)
        except queue.Full:
            self._overflowed.set()

    def drain(self, wait_seconds: float) -> tuple[list[Path], bool]:
        """Wait for the first hint, then return all there are, each once, and whether some were dropped."""
        paths: dict[Path | None, None] = {}
        try:
            paths[self._queue.get(timeout=wait_seconds)] = None
            while True:
                paths[self._queue.get_nowait()] = None
        except queue.Empty:
            overflowed = self._overflowed.is_set()
            self._overflowed.clear()
            return [path for path in paths if path is not None], overflowed

    def wake(self) -> None:
        """End a waiting :meth:`drain`."""
        with contextlib.suppress(queue.Full):  # then it is not waiting
            self._queue.put_nowait(None)


@dataclass
class _Watch:
    observer: BaseObserver | None
    root: Root
    retry_at: float = 0.0


class Watcher:
    """Observers for some folders, kept alive by :meth:`tend`."""

    def __init__(self, folders: Iterable[Path], hints: Hints) -> None:
        # watchdog 7.1 warns, at great length, when a new directory is both met in a walk and reported: harmless.
        warnings.filterwarnings("ignore", r"Callback with id .* already exists", RuntimeWarning)
        self._folders = tuple(folders)
        self._hints = hints
        self._watches: dict[Path, _Watch] = {}
        self.restarts = 0
        self.problems: dict[Path, str] = {}

    def tend(self) -> list[Path]:
        """Start what is not watched, restart what has died; return the folders that need a scan because of
        it.

        A folder that is not there is left alone until it returns.
        """
        fresh: list[Path] = []
        for folder in self._folders:
            root = Root.of(folder)
            watch = self._watches.get(folder)
            if root is None:
                if watch is not None:
                    self._drop(folder)
                continue
            if watch is not None and watch.root == root and self._is_well(watch):
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

    def stop(self) -> None:
        """Stop all observers."""
        for folder in list(self._watches):
            self._drop(folder)

    def _is_well(self, watch: _Watch) -> bool:
        if watch.observer is None:
            return time.monotonic() < watch.retry_at
        threads: list[threading.Thread] = [watch.observer, *watch.observer.emitters]
        reader = getattr(watch.observer, "_inotify_fd", None)  # reads for all emitters of an observer on Linux
        if isinstance(reader, threading.Thread):
            threads.append(reader)
        return bool(watch.observer.emitters) and all(thread.is_alive() for thread in threads)

    def _start(self, folder: Path, root: Root) -> _Watch:
        try:
            observer = Observer()
            observer.schedule(self._hints, str(folder), recursive=True, event_filter=_EVENTS)
            observer.start()
        except (OSError, RuntimeError) as error:  # mostly: the limit on inotify instances or watches
            if folder not in self.problems:
                log.warning("cannot be watched, it is scanned instead", folder=str(folder), error=str(error))
            self.problems[folder] = f"cannot be watched ({error}); it is scanned instead"
            return _Watch(None, root, time.monotonic() + RETRY_SECONDS)
        self.problems.pop(folder, None)
        return _Watch(observer, root)

    def _drop(self, folder: Path) -> None:
        watch = self._watches.pop(folder)
        if watch.observer is not None:
            watch.observer.stop()
            if watch.observer.is_alive():
                watch.observer.join(2.0)

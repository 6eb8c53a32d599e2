"""What may have changed, as watchdog tells it: paths on a queue, and word of those that were lost."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from deepdream_daemon.intake.missed import Unhinted

MAX_HINTS = 200_000


class Hints(FileSystemEventHandler):
    """The queue of paths worth a look; ``None`` on it only ends a wait."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Path | None] = queue.Queue(MAX_HINTS)
        self._overflowed = threading.Event()
        self.unhinted = Unhinted()
        """What scans found; used by the thread that drains."""

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

    def lost(self) -> None:
        """Some changes were never told of: everything deserves a look."""
        self._overflowed.set()
        self.wake()

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
            found = [path for path in paths if path is not None]
            self.unhinted.hinted(found)
            return found, overflowed

    def wake(self) -> None:
        """End a waiting :meth:`drain`."""
        with contextlib.suppress(queue.Full):  # then it is not waiting
            self._queue.put_nowait(None)


class Losses:
    """Hears from watchdog's reader when the kernel's queue ran over: watchdog tells no handler of it."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self.count = 0
        self.at = float("-inf")

    def on_event(self, event: object) -> None:
        """The emitter tells of events."""

    def on_watch_deleted(self, wd: object) -> None:
        """The next look at the folder shows that it is gone."""

    def on_queue_overflow(self) -> None:
        """Runs in the reader's thread."""
        self.count += 1
        self.at = time.monotonic()
        self._hints.lost()

"""What may have changed, as watchdog tells it: paths that wait for a look, and word of those that were lost."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from deepdream_daemon.intake.missed import Unhinted

MAX_HINTS = 200_000


class Hints(FileSystemEventHandler):
    """The paths worth a look, each once, in the order in which they were told of."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: dict[Path, None] = {}
        self._is_woken = False
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
        """Note that ``path`` deserves a look; waits for nobody who takes long."""
        with self._changed:
            if len(self._paths) >= MAX_HINTS:
                self._overflowed.set()
                return
            self._paths[path] = None
            self._changed.notify()

    def lost(self) -> None:
        """Some changes were never told of: everything deserves a look."""
        self._overflowed.set()
        self.wake()

    def drain(self, wait_seconds: float) -> tuple[list[Path], bool]:
        """Wait for the first hint, then return all there are, and whether some were dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._paths or self._is_woken, wait_seconds)
            paths, self._paths, self._is_woken = list(self._paths), {}, False
        overflowed = self._overflowed.is_set()
        self._overflowed.clear()
        self.unhinted.hinted(paths)
        return paths, overflowed

    def wake(self) -> None:
        """End a waiting :meth:`drain`."""
        with self._changed:
            self._is_woken = True
            self._changed.notify()


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

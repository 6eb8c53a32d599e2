"""Folders at work beside each other, each in one thread at a time, so that a disk that hangs holds up its own alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from deepdream_daemon.pipeline.threads import DaemonThreads

MOST_AT_ONCE = 16
"""So many folders are worked at at once; if as many disks hang, the others wait for one of them."""


class Lanes:
    """Safe to use from any thread. ``on_free`` is called, in the thread of a lane, when its work has ended."""

    def __init__(self, name: str, on_free: Callable[[], None]) -> None:
        self._threads = DaemonThreads(MOST_AT_ONCE, name)
        self._on_free = on_free
        self._changed = threading.Condition()
        self._since: dict[Path, float] = {}

    def begin(self, folder: Path, work: Callable[[], None]) -> None:
        """Have ``work`` done for a folder that is not at work; raises ``OSError`` if there is no thread for it."""
        with self._changed:
            self._since[folder] = time.monotonic()

        def run() -> None:
            try:
                work()
            finally:
                self._end(folder)

        try:
            self._threads.submit(run)
        except OSError:
            self._end(folder)
            raise

    def at_work(self) -> dict[Path, float]:
        """Return the folders at work, each with the seconds since its work was begun."""
        now = time.monotonic()
        with self._changed:
            return {folder: now - since for folder, since in self._since.items()}

    def join(self, seconds: float) -> None:
        """Wait until no folder is at work, or for ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: not self._since, seconds)

    def close(self) -> None:
        """End the threads as soon as their work has."""
        self._threads.shutdown(wait=False)

    def _end(self, folder: Path) -> None:
        with self._changed:
            del self._since[folder]
            self._changed.notify_all()
        self._on_free()

"""Folders at work beside each other, each in one thread at a time, so that a disk that hangs holds up its own alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.pipeline.threads import DaemonThreads

log = structlog.get_logger("deepdream")

MOST_AT_ONCE = 16
"""So many folders are worked at at once; if as many disks hang, the others wait for one of them."""
MEND_SECONDS = 5.0
HANGING_SECONDS = 60.0
"""What makes no progress for longer is told of."""


class Lanes:
    """Safe to use from any thread. ``on_free`` is called, in the thread of a lane, when its work has ended. An error
    that ends it is logged, but for those after ``stop``: the journal is closed then, and tells the next start."""

    def __init__(self, name: str, stop: threading.Event, on_free: Callable[[], None]) -> None:
        self._name = name
        self._stop = stop
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
            except Exception as error:
                if not self._stop.is_set():
                    text = explain_error(error)
                    log.exception("work at a folder met an error", work=self._name, folder=str(folder), error=text)
                    self._stop.wait(MEND_SECONDS)
            finally:
                self._end(folder)

        try:
            self._threads.submit(run)
        except OSError:
            self._end(folder)
            raise

    def note_progress(self, folder: Path) -> None:
        """The work of a folder goes on, so nothing hangs."""
        with self._changed:
            self._since[folder] = time.monotonic()

    def at_work(self) -> dict[Path, float]:
        """Return the folders at work, each with the seconds since its work was begun or made progress."""
        now = time.monotonic()
        with self._changed:
            return {folder: now - since for folder, since in self._since.items()}

    def hanging(self) -> dict[Path, float]:
        """Return those of them whose work has made no progress for so long that it is told of."""
        return {folder: seconds for folder, seconds in self.at_work().items() if seconds > HANGING_SECONDS}

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

"""Threads that begin together or not at all: each is started, which may fail, and waits until all of them are."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NO_THREAD = (
    "the system has no thread left for it. End other programs or raise the limit (ulimit -u, TasksMax=); then save the "
    "configuration again, or send SIGHUP"
)


class Gate:
    """Who waits at it goes on once it is opened, and ends once it is shut. For any thread; it is decided once."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._is_open = False

    def thread(self, name: str, run: Callable[[], object]) -> threading.Thread:
        """Return a thread, to be started, that waits here before it runs."""

        def begin() -> None:
            if self.passes():
                run()

        return threading.Thread(target=begin, name=name, daemon=True)

    def passes(self) -> bool:
        """Wait for the decision; return whether to go on."""
        self._decided.wait()
        return self._is_open

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Start threads meanwhile; raises ``OSError`` if there is none to be had, and then has all of them end."""
        try:
            yield
        except BaseException as error:
            self._decided.set()
            if isinstance(error, RuntimeError):
                raise OSError(errno.EAGAIN, NO_THREAD) from error
            raise

    def open(self) -> None:
        """Let all go on."""
        self._is_open = True
        self._decided.set()

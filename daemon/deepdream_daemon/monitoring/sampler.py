"""A value that a thread keeps fresh, so that whoever asks for it never waits for what it is made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from deepdream_daemon.terminal.messages import message_of

log = structlog.get_logger("deepdream")

Value = TypeVar("Value")

SAMPLE_SECONDS = 2.0
STOP_SECONDS = 1.0


class Sampler(Generic[Value]):
    """Calls ``take`` every ``seconds`` (:data:`SAMPLE_SECONDS`) in a thread of its own. ``take`` may fail or hang: then
    the last value stays, and :attr:`age_seconds` grows."""

    def __init__(self, name: str, take: Callable[[], Value], seconds: float | None = None) -> None:
        self._name = name
        self._take = take
        self._seconds = SAMPLE_SECONDS if seconds is None else seconds
        self._latest: tuple[float, Value] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: str | None = None
        """Why the last call failed, if it did."""

    def start(self) -> None:
        """Take the first value soon."""
        self._thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Take no more; wait for the last call for ``seconds``, and return whether it has ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def latest(self) -> Value | None:
        """The last value; ``None`` before there was one."""
        return None if self._latest is None else self._latest[1]

    @property
    def age_seconds(self) -> float | None:
        """How old :attr:`latest` is."""
        latest = self._latest
        return None if latest is None else time.monotonic() - latest[0]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                value = self._take()
                self._latest = time.monotonic(), value
                self.error = None
            except Exception as error:
                if self.error is None:
                    log.debug("monitoring could not look", at=self._name, error=message_of(error), exc_info=error)
                self.error = message_of(error)
            self._stop.wait(self._seconds)

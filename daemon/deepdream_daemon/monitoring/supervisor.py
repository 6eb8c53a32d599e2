"""The service manager is told when the daemon is ready, reloads and stops, what it does, and that it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from deepdream_daemon.monitoring.notify import Notifier, monotonic_usec

STATUS_SECONDS = 2.0
BEATS_PER_LIMIT = 4
"""How often the manager hears that the daemon lives, in the time after which it would end it: one lost or late datagram
is none too many."""
STOP_SECONDS = 1.0


class Supervisor:
    """Speaks for the daemon through ``notifier``, from a thread of its own.

    The manager hears ``WATCHDOG=1`` only while ``is_alive()``, and ``status()`` whenever that has changed. Neither may
    take long.
    """

    def __init__(self, notifier: Notifier, is_alive: Callable[[], bool], status: Callable[[], str]) -> None:
        self._notifier = notifier
        self._is_alive = is_alive
        self._status = status
        self._told = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to tell of life and status."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more; the manager sees for itself when the process has ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def ready(self) -> None:
        """It works, or works with the new configuration."""
        self._notifier.send(READY=1, STATUS=self._status())

    def reloading(self) -> None:
        """It takes the configuration up again; :meth:`ready` ends it, whichever is in force then."""
        self._notifier.send(RELOADING=1, MONOTONIC_USEC=monotonic_usec(), STATUS="reloading the configuration")

    def stopping(self) -> None:
        """It winds down."""
        self._notifier.send(STOPPING=1, STATUS="stopping")

    def extend(self, seconds: float) -> None:
        """What it is doing (starting, stopping) may take so long from now on."""
        self._notifier.send(EXTEND_TIMEOUT_USEC=int(seconds * 1e6))

    def _run(self) -> None:
        limit = self._notifier.watchdog_seconds
        beat_seconds = None if limit is None else limit / BEATS_PER_LIMIT
        tick = STATUS_SECONDS if beat_seconds is None else min(STATUS_SECONDS, beat_seconds)
        beaten = -float("inf")
        while True:
            now = time.monotonic()
            # Half a tick early rather than late.
            if beat_seconds is not None and now - beaten > beat_seconds - tick / 2 and self._is_alive():
                self._notifier.send(WATCHDOG=1)
                beaten = now
            status = self._status()
            if status != self._told and self._notifier.send(STATUS=status):
                self._told = status
            if self._stop.wait(tick):
                return

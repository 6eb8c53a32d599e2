"""A daemon running in a thread of its own, so that the main thread is free for signals and the screen.

Signal handlers run in the main thread; were that one waiting on the stop event, setting it could deadlock.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import structlog

from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.running.daemon import Daemon

log = structlog.get_logger("deepdream")

Phase = Literal["starting", "running", "stopping", "stopped"]

END_SECONDS = 14.3
"""A daemon takes less to wind down, unless a disk hangs or somebody keeps the journal locked."""


class GivenUp(DeepDreamError):
    """The daemon did not wind down in time: whoever waited for it shall end the process, as a power cut would."""


class Background:
    """``with Background(daemon) as running:`` starts the daemon, and winds it down at the end; raises :class:`GivenUp`
    if that takes too long."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="daemon", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        until = time.monotonic() + END_SECONDS
        while self.runs(0.2):
            if time.monotonic() > until:
                reason = "the daemon did not wind down in time; the next start finds out what it was at"
                log.error(reason, seconds=END_SECONDS)
                raise GivenUp(reason)

    @property
    def phase(self) -> Phase:
        """How far it is; asks no lock, so that a signal handler's thread may."""
        if self._thread.ident is None:
            return "starting"
        if not self._thread.is_alive():
            return "stopped"
        return "stopping" if self.stop.is_set() else "running"

    def runs(self, seconds: float) -> bool:
        """Wait for ``seconds`` and tell whether the daemon still runs; raises what ended it, if it failed."""
        self._thread.join(seconds)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.daemon.run(self.stop)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
            self._failure = error

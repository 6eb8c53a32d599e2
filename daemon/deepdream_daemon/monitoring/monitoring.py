"""All of the monitoring of one daemon: :class:`Monitoring` hears from the daemon how far it is, and tells the service
manager and whoever asks over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from deepdream_daemon.monitoring.facts import Facts
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.notify import Notifier
from deepdream_daemon.monitoring.supervisor import Supervisor
from deepdream_daemon.running.snapshot import Snapshot

if TYPE_CHECKING:
    from deepdream_daemon.monitoring.server import MonitoringServer, Pages


class Monitoring:
    """``with Monitoring(state, heartbeats) as monitoring:`` looks after a daemon from :meth:`watch` to the end.

    Without a service manager and without a port nothing runs. ``notifier`` is by default the one that the environment
    names.
    """

    def __init__(self, state: Path, heartbeats: Heartbeats, notifier: Notifier | None = None) -> None:
        self.facts = Facts(state, heartbeats)
        self._notifier = notifier if notifier is not None else Notifier.from_environment()
        self._supervisor: Supervisor | None = None
        self._server: MonitoringServer | None = None
        self._pages: Pages | None = None
        self._snapshot: Callable[[], Snapshot] | None = None
        self._gathers = False
        self._entering = threading.Lock()
        if self._notifier is not None:
            self._supervisor = Supervisor(self._notifier, lambda: not self.facts.hanging(), self.facts.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.serve(0)
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._gathers:
            self.facts.stop()

    def watch(self, snapshot: Callable[[], Snapshot], worker_trouble: Callable[[], str | None] = lambda: None) -> None:
        """Look after the daemon that ``snapshot()`` tells of, once, before :meth:`serve`; ``worker_trouble()`` says
        what keeps its worker from starting, if anything does."""
        self._snapshot = snapshot
        self.facts.worker_trouble = worker_trouble
        if self._supervisor is not None:
            self._gather()
            self._supervisor.start()

    def serve(self, port: int, where: str = "monitoring.port") -> None:
        """Answer at ``port`` from now on instead of where it did, with 0 nowhere; raises
        :class:`~deepdream_engine.errors.BadOption`, and then all stays as it was."""
        before, server = self._server, None
        if port == (before.port if before is not None else 0):
            return
        if port:
            from deepdream_daemon.monitoring.server import MonitoringServer, Pages  # quick, but most do without

            self._pages = self._pages or Pages(self.facts)
            server = MonitoringServer(port, self._pages, where)
            server.start()
            self._gather()
        self._server = server
        if before is not None:
            before.stop()

    def ready(self) -> None:
        """The daemon works, with the configuration that is in force now."""
        self._enter("ready")

    def reloading(self) -> None:
        """It takes its configuration up again, until :meth:`ready`."""
        self._enter("reloading")

    def stopping(self) -> None:
        """It winds down."""
        self._enter("stopping")

    def _enter(self, phase: Literal["ready", "reloading", "stopping"]) -> None:
        """The manager hears of phases in the order in which they are entered, and of none after the last."""
        with self._entering:
            if self.facts.phase == "stopping":  # taking up a configuration was under way when the end was asked for
                return
            self.facts.phase = phase
            if self._supervisor is not None:
                getattr(self._supervisor, phase)()

    def extend(self, seconds: float) -> None:
        """What it is doing, starting or stopping, may take so long from now on."""
        if self._supervisor is not None:
            self._supervisor.extend(seconds)

    def _gather(self) -> None:
        if not self._gathers and self._snapshot is not None:
            self._gathers = True
            self.facts.start(self._snapshot)

"""A daemon with a configuration in a file and stub renderers, for tests of what happens when the file changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepdream_daemon.configuration.assembly import Assembly
from deepdream_daemon.configuration.changes import Changes
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.running.daemon import Daemon
from deepdream_daemon.running.planning import Planner
from deepdream_daemon.running.reloading import Reloading
from deepdream_daemon.running.snapshot import Snapshot
from tests.daemon.stub import StubRenderer, wait_until

FOLDER = '[[folders]]\ninput = "in"\noutput = "out"\n'
QUICK = "[daemon]\nsettle_seconds = 0.1\nrescan_seconds = 0.5\n"


class Closable(StubRenderer):
    """A stub that knows whether it was closed."""

    closed = False

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Reloadable:
    """``with Reloadable(root) as daemon:`` runs a daemon on ``root/config.toml``; ``renderers`` are those it made."""

    def __init__(self, root: Path, text: str = FOLDER + QUICK, **accept: Callable[[Settings], None]) -> None:
        self.root = root
        self.config = root / "config.toml"
        for name in ("in", "out"):
            (root / name).mkdir(exist_ok=True)
        self.config.write_text(text)
        self.renderers: list[Closable] = []
        self.planner = Planner(self.config, self._renderer)
        changes = Changes(self.planner.path)
        self.plan = self.planner.first()
        self.daemon = Daemon(
            self.plan.settings,
            self.plan.book,
            self.plan.renderer,
            sinks=self.plan.sinks,
            reloading=Reloading(changes, self.planner.next),
            **accept,
        )
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _renderer(self, _: Assembly) -> Closable:
        self.renderers.append(Closable())
        return self.renderers[-1]

    def _run(self) -> None:
        try:
            self.daemon.run(self.stop)
        except BaseException as error:  # noqa: BLE001  (raised again by the test)
            self.error = error

    def __enter__(self) -> Reloadable:
        self._thread.start()
        wait_until(lambda: self.snapshot().beats != {}, what=lambda: self.error)
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop.set()
        self.join()

    def join(self, seconds: float = 20.0) -> None:
        """Wait for the daemon's end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def snapshot(self) -> Snapshot:
        """Return what the daemon does."""
        return self.daemon.snapshot()

    def write(self, text: str) -> None:
        """Write another configuration."""
        self.config.write_text(text)

    def wait_for_generation(self, number: int, seconds: float = 60.0) -> None:
        """Wait until that many configurations have been in force."""
        wait_until(lambda: self.snapshot().generation == number, seconds, self.snapshot)

    def wait_for_error(self, seconds: float = 60.0) -> str:
        """Wait until a configuration was refused; return why."""
        wait_until(lambda: self.snapshot().reload_error is not None, seconds, self.snapshot)
        return str(self.snapshot().reload_error)

    def noted_error(self) -> str | None:
        """Return what another process learns of it."""
        journal = Journal.open(self.root / "state", read_only=True)
        try:
            return journal.reload_error()
        finally:
            journal.close()

"""All couriers: started with the daemon, woken when a dream is done, and not waited for long at the end."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import structlog

from deepdream_daemon.delivery.courier import Courier
from deepdream_daemon.delivery.routes import Route, known_by_folder, names_by_folder
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.notes import Pause
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS
from deepdream_plugins.hosting.health import Health

log = structlog.get_logger("deepdream")


class Couriers:
    """One for each route. They take nothing new once ``stop`` is set."""

    def __init__(self, routes: tuple[Route, ...], journal: Journal, health: Health, stop: threading.Event) -> None:
        self._journal = journal
        self._routes = routes
        self._all = tuple(Courier(route, journal, health, stop, self._note_pauses) for route in routes)
        journal.sinks = names_by_folder(routes)

    def start(self) -> None:
        """Forget what was for sinks that are not configured any more, and begin with the rest."""
        try:
            self._tidy_up()
        except sqlite3.OperationalError as error:  # a full disk, maybe: the next start does it
            log.warning("deliveries could not be looked through", error=str(error))
        for courier in self._all:
            courier.start()

    def _note_pauses(self) -> None:
        paused = {(each.route.folder, each.route.name): each.pause for each in self._all if each.pause != Pause()}
        self._journal.note_pauses(paused)

    def _tidy_up(self) -> None:
        for (folder, name), count in self._journal.drop_unnamed_deliveries().items():
            log.warning(
                "dropped: the configuration names the sink no more", sink=name, folder=str(folder), deliveries=count
            )
        self._journal.note_sinks(known_by_folder(self._routes))
        self._note_pauses()
        # Somebody may have mended the sink, or the clock.
        self._journal.mend_delivery_clock(time.time() + LONGEST_SECONDS)

    def wake(self, folder: Path) -> None:
        """A dream of this watched folder is done."""
        for courier in self._all:
            if courier.route.folder == folder:
                courier.wake()

    def join(self, seconds: float) -> None:
        """Wait, after ``stop``, for what is being delivered, together no longer than ``seconds``."""
        until = time.monotonic() + seconds
        for courier in self._all:
            courier.wake()
        for courier in self._all:
            courier.join(max(0.0, until - time.monotonic()))

    def troubles(self) -> list[str]:
        """Say which sinks do not take dreams, and why."""
        return [
            f"the sink {courier.route.name!r} of {os.fspath(courier.route.folder)!r}: {courier.trouble}"
            for courier in self._all
            if courier.trouble
        ]

"""All couriers of a configuration: started with it, woken when a dream is done, and not waited for long at the end."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
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
        self._stop = stop
        self._all = tuple(Courier(route, journal, health, stop, self._note_pauses) for route in routes)

    def take_over(self) -> None:
        """Have every dream that is done from now on go to these sinks, and forget what was for sinks that are not
        configured any more."""
        self._journal.sinks = names_by_folder(self._routes)
        try:
            self._tidy_up()
        except sqlite3.Error as error:  # a full disk, maybe: the next start does it
            log.warning("deliveries could not be looked through", error=str(error))

    def start(self, after: Couriers | None = None, may_begin: Callable[[], bool] = lambda: True) -> None:
        """Begin with what is due. No dream is brought to a sink while those ``after`` whom these come still bring it
        one, nor before ``may_begin()``, which waits and says whether these shall begin at all."""
        for courier in self._all:
            courier.start(None if after is None else after.on(courier.route), may_begin)

    def on(self, route: Route) -> Courier | None:
        """Return whose dreams go where those of ``route`` go, as far as the journal knows."""
        way = (route.folder, route.name)
        return next((each for each in self._all if (each.route.folder, each.route.name) == way), None)

    def _note_pauses(self) -> None:
        if self._stop.is_set():  # others may be at work already, and theirs hold
            return
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

    def wake_all(self) -> None:
        """There is something new for all of them, such as their end."""
        for courier in self._all:
            courier.wake()

    def join(self, seconds: float) -> None:
        """Wait, after ``stop``, for what is being delivered, together no longer than ``seconds``."""
        until = time.monotonic() + seconds
        self.wake_all()
        for courier in self._all:
            courier.join(max(0.0, until - time.monotonic()))

    def troubles(self) -> list[str]:
        """Say which sinks do not take dreams, and why."""
        return [
            f"the sink {courier.route.name!r} of {os.fspath(courier.route.folder)!r}: {courier.trouble}"
            for courier in self._all
            if courier.trouble
        ]

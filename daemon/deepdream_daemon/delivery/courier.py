"""A courier: brings the dreams of one route to its sink, one after the other, until each has arrived or is given up.

A call of the sink is noted before it is made and what came of it after, so that a dream arrives at least once, whatever
happens in between.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable

import structlog

from deepdream_daemon.delivery.calling import MOST_LEFT_BEHIND, Calls, is_fault
from deepdream_daemon.delivery.routes import Route
from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.deliveries import Parcel
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.notes import Pause
from deepdream_daemon.pipeline.backoff import delay_seconds, explain_error
from deepdream_engine.errors import BadPicture
from deepdream_plugins.expanding import redacted, secrets_of
from deepdream_plugins.hosting.health import Health

log = structlog.get_logger("deepdream")

MOST_ATTEMPTS = 20
QUICK_ATTEMPTS = 11
"""After so many, a quarter of an hour after the first, the longest back-off is over: it is tried every hour."""
HOUR_SECONDS = 3600.0
OUTAGE = 3
"""After so many failures in a row it is the sink that does not work: when it does again, what was put off is due."""
POLL_SECONDS = 1.0
MEND_SECONDS = 5.0
DELIVERING = "delivering"
"""What a plugin fails at that is counted by itself: a sink that works makes no filter work."""


class Courier:
    """Works in a thread of its own from ``start`` to ``stop``; ``trouble`` and ``pause`` may be asked from any thread.
    ``on_pause`` is called, in its thread, whenever ``pause`` has changed."""

    def __init__(
        self,
        route: Route,
        journal: Journal,
        health: Health,
        stop: threading.Event,
        on_pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.route = route
        self.pause = Pause(reason=route.reason)
        self._journal = journal
        self._health = health
        self._stop = stop
        self._on_pause = on_pause
        self._wake = threading.Event()
        self._obstacle = ""
        self._refusal = ""
        self._misses = 0
        self._rest_until = 0.0
        self._calls = Calls(route)
        self._after: Courier | None = None
        self._may_begin: Callable[[], bool] = lambda: True
        self._thread = threading.Thread(target=self._run, name=f"sink {route.name}", daemon=True)

    @property
    def trouble(self) -> str:
        """What keeps dreams from arriving, if anything."""
        return self._obstacle or self._refusal

    def start(self, after: Courier | None = None, may_begin: Callable[[], bool] = lambda: True) -> None:
        """Begin with what is due, as soon as the courier ``after`` whom this one comes has ended: the journal hands a
        dream out again when it takes too long, and trusts that it is asked by one alone. ``may_begin`` waits for the
        others that are started with it, and says whether it shall."""
        self._after, self._may_begin = after, may_begin
        self._thread.start()

    def wake(self) -> None:
        """There may be something to deliver, or the daemon stops."""
        self._wake.set()

    def join(self, seconds: float | None = None) -> None:
        """Wait until what is being delivered has arrived, or for ``seconds``."""
        self._thread.join(seconds)

    def _run(self) -> None:
        if not self._may_begin():
            return
        if self._after is not None:
            self._after.join()  # even if this one has to stop already: another may come after it
            self._after = None
        while not self._stop.is_set():
            try:
                has_more = self._turn()
                self._tell_pause()
            except Exception as error:
                if self._stop.is_set():  # the journal is closed, and tells the next start how far this came
                    return
                log.exception("delivering met an error, it goes on", route=str(self.route), error=explain_error(error))
                self._stop.wait(MEND_SECONDS)
                continue
            if not has_more:
                self._wake.wait(POLL_SECONDS)
                self._wake.clear()

    def _turn(self) -> bool:
        """Deliver what is due next; return whether there may be more."""
        route = self.route
        obstacle, self._obstacle = self._obstacle, self._found_obstacle()
        if self._obstacle or route.sink is None:
            if self._obstacle != obstacle:
                log.warning("nothing is delivered", route=str(route), reason=self._obstacle)
            return False
        resting = time.monotonic() < self._rest_until
        parcel = self._journal.take_parcel(route.folder, route.name, pause_seconds, only_asked_for=resting)
        if parcel is None:
            return False
        if parcel.attempt > MOST_ATTEMPTS:
            self._give_up(parcel, "the program ended in the middle of each attempt")
            return True
        if not os.path.lexists(parcel.output):
            # Somebody took it away, or its disk, whose mount point is there.
            self._put_off(parcel, "its dream is not where it was published any more")
            return True
        try:
            self._calls.deliver(parcel, route.sink)
        except BadPicture as error:  # no later try makes up for it
            self._give_up(parcel, redacted(str(error), secrets_of(route.sink.options)))
        except BaseException as error:  # noqa: BLE001  (whatever it is, this dream did not arrive)
            why = redacted(explain_error(error), secrets_of(route.sink.options))
            if is_fault(error):
                self._health.failed(route.sink.owner, why, DELIVERING)
            self._missed(parcel, why)
        else:
            self._health.succeeded([route.sink.owner], DELIVERING)
            self._arrived(parcel)
        return True

    def _tell_pause(self) -> None:
        """Have other processes know what keeps dreams from the sink."""
        seconds = self._rest_until - time.monotonic()
        if self._obstacle:
            now = Pause(reason=self._obstacle)
        elif seconds <= 0:
            now = Pause()
        elif self.pause.until > time.time() and abs(self.pause.until - time.time() - seconds) < 1:
            return  # the same pause
        else:
            now = Pause(until=time.time() + seconds)
        if now == self.pause:
            return
        before, self.pause = self.pause, now
        try:
            self._on_pause()
        except BaseException:  # nobody knows yet, so it is told again
            self.pause = before
            raise

    def _found_obstacle(self) -> str:
        """Say why nothing can be delivered at the moment, if so; no attempt is used up by that."""
        if self.route.sink is None:
            return self.route.reason
        owner = self.route.sink.owner
        if (reason := self._health.disabled.get(owner)) is not None:
            return f"the plugin {owner!r} is disabled: {reason}"
        if not self.route.output_folder.is_dir():
            return f"the output folder {os.fspath(self.route.output_folder)!r} is away"
        if self._calls.are_too_many:
            return f"{MOST_LEFT_BEHIND} deliveries hang; it goes on when one of them ends"
        return ""

    def _arrived(self, parcel: Parcel) -> None:
        self._write(lambda: self._journal.delivered(parcel, self.route.name))
        hit("delivery.recorded")
        if self._misses >= OUTAGE:
            self._write(lambda: self._journal.hasten_deliveries(self.route.folder, self.route.name))
        self._misses, self._rest_until, self._refusal = 0, 0.0, ""
        log.info("delivered", job=parcel.job, output=str(parcel.output), sink=self.route.name)

    def _missed(self, parcel: Parcel, why: str) -> None:
        self._misses += 1
        if self._misses > 1:  # one dream that it does not like keeps no other from it
            self._rest_until = time.monotonic() + delay_seconds(self._misses - 2)
        self._refusal = why
        self._put_off(parcel, why)

    def _put_off(self, parcel: Parcel, why: str) -> None:
        """Try it again later, and not before the sink is asked again at all."""
        if parcel.attempt >= MOST_ATTEMPTS:
            self._refusal = ""
            self._give_up(parcel, f"{why} (after {parcel.attempt} attempts)")
            return
        wait = max(pause_seconds(parcel.attempt - 1), self._rest_until - time.monotonic())
        due = time.time() + wait
        self._write(lambda: self._journal.put_off_delivery(parcel, self.route.name, why, due=due))
        log.warning(
            "not delivered",
            job=parcel.job,
            output=str(parcel.output),
            sink=self.route.name,
            error=why,
            attempt=parcel.attempt,
            retry_in=round(wait, 1),
        )

    def _give_up(self, parcel: Parcel, why: str) -> None:
        self._write(lambda: self._journal.give_up_delivery(parcel, self.route.name, why))
        log.error("not delivered, given up", job=parcel.job, path=str(parcel.source), sink=self.route.name, error=why)

    def _write(self, change: Callable[[], None]) -> None:
        """Change the journal, as soon as that is possible: until it is, the sink would get the same again."""
        while True:
            try:
                return change()
            except sqlite3.OperationalError as error:
                log.exception("the journal could not be written", error=str(error))
                if self._stop.wait(MEND_SECONDS):
                    raise


def pause_seconds(attempts: int) -> float:
    """Return how long to wait after a failure that came after ``attempts`` others: 1 s, 2 s … 5 min, then an hour."""
    return delay_seconds(attempts) if attempts + 1 < QUICK_ATTEMPTS else HOUR_SECONDS

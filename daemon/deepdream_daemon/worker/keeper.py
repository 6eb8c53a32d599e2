"""The keeper of the worker: starts it, listens to it, and starts it again when it has died.

At once, if it was of use; a worker that dies before it has done anything is started after ever longer pauses, and what
keeps it from starting is told. The keeper itself is started again by whoever needs a worker next, should it end.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from deepdream_daemon.pipeline.backoff import delay_seconds, explain_error
from deepdream_daemon.worker import logs
from deepdream_daemon.worker.child import Child
from deepdream_daemon.worker.lane import LaneClosed
from deepdream_engine.errors import BadOption, Cancelled

log = structlog.get_logger("deepdream")

START_SECONDS = 300.0
"""Importing torch takes seconds, and minutes from a slow disk."""
ANSWER_SECONDS = 45.0
"""A worker that gives no sign of life for so long will never."""
LISTEN_SECONDS = 1.0
WAIT_SECONDS = 0.2
UNWANTED = "the worker process is not needed any more"


class Keeper:
    """Keeps one worker, made by ``order``, from :meth:`start` to :meth:`close`. Safe to use from any thread."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = order
        self.restarts = 0
        self.last_death: str | None = None
        self.child: Child | None = None
        """The worker that is ready."""
        self.trouble: Mapping[str, str] = {}
        """Why it does not start at the moment, with what to do."""
        self.devices: tuple[str, ...] = ()
        self.calls: Sequence[tuple[str, str, float]] = ()
        """Strangers' code that is being called there."""
        self.disabled_there: Mapping[str, str] = {}
        self.disabled: Mapping[str, str] = {}
        """Plugins that are disabled here, which a new worker is told of."""
        self.dropped: deque[tuple[int, int]] = deque()
        """Numbers of pictures that nobody here holds any more, with the worker that had them."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended_at = 0.0
        self._starting: Child | None = None
        self._generation = 0
        self._is_closed = False
        self._refusal: BadOption | None = None
        self._busy_before = 0.0
        self._busy_now = 0.0

    def start(self) -> None:
        """Start the worker in the background, if it is not started yet. Raises ``OSError`` if it cannot be."""
        with self._changed:
            if self._is_closed or self._is_kept:
                return
            thread = threading.Thread(target=self._keep, name="worker's keeper", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, "no thread could be started for the worker process") from error
            self._thread = thread

    def check(self, seconds: float) -> bool:
        """Wait until the worker is ready, or does not start; tell which. Raises what the configuration gets wrong."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: bool(self._is_closed or self.child or self.trouble), seconds)
            if self._refusal is not None:
                raise self._refusal
            return self.child is not None

    def ready(self, should_stop: Callable[[], bool] = lambda: False) -> Child:
        """Return the worker, when there is one; raises ``Cancelled`` if there will be none."""
        with self._changed:
            while not self._is_closed:
                self.start()
                child = self.child
                if child is not None and not child.is_over:
                    return child
                if should_stop():
                    break
                self._changed.wait(WAIT_SECONDS)
            raise Cancelled(UNWANTED)

    def close(self) -> None:
        """End the worker."""
        with self._changed:
            self._is_closed = True
            children = [child for child in (self.child, self._starting) if child is not None]
            self._changed.notify_all()
        for child in children:
            child.close()

    @property
    def is_closed(self) -> bool:
        """Whether nobody needs it any more."""
        return self._is_closed

    @property
    def pid(self) -> int | None:
        """The worker's process id, if there is one."""
        child = self.child or self._starting
        return None if child is None else child.pid

    @property
    def beat(self) -> float:
        """When it gave its last sign of life, by ``time.monotonic()``; now, while there is none to give one, and when
        the keeper ended if that was no order."""
        if self._thread is not None and not self._is_kept and not self._is_closed:
            return self._ended_at
        child = self.child
        return time.monotonic() if child is None else child.beat

    @property
    def busy_seconds(self) -> float:
        """Seconds that the engines of all workers have computed so far."""
        return self._busy_before + self._busy_now

    @property
    def _is_kept(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def note_busy(self, child: Child, seconds: float) -> None:
        """Note how long a worker says that its engines have computed."""
        if child is self.child:
            self._busy_now = max(self._busy_now, seconds)

    # In its thread

    def _keep(self) -> None:
        try:
            self._keep_on()
        finally:
            self._ended_at = time.monotonic()

    def _keep_on(self) -> None:
        failures = 0
        while not self._is_closed:
            try:
                reason = self._live()
            except Exception as error:  # no thread is to be had, what it says cannot be read …
                log.exception("the worker's keeper met an error, it goes on")
                reason = explain_error(error)
            failures = 0 if reason is None else failures + 1
            if reason is None or self._is_closed:
                continue
            wait = delay_seconds(failures - 1)
            log.error("the worker does not start", reason=reason, retry_in=round(wait, 1))
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + wait))
            with self._changed:
                self.trouble = {
                    f"the worker process does not start: {reason}": f"It is tried again at {until}, and so on. "
                    "What it wrote is in the log; pictures wait meanwhile."
                }
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_closed, wait)

    def _live(self) -> str | None:
        """Start a worker and stay with it until it has ended; return why it was of no use, if it was not."""
        begun = time.monotonic()
        self._generation += 1
        order = {**self._order, "level": logging.getLogger().level, "disabled": dict(self.disabled)}
        child = Child(self._generation, order)
        with self._changed:
            self._starting = child
            is_late = self._is_closed
        if is_late:
            child.close()
        try:
            refused = self._greet(child)
            if refused is not None:
                return refused
            log.info("the worker is ready", worker=child.pid, seconds=round(time.monotonic() - begun, 1))
            self._listen(child)
        finally:
            with self._changed:
                self.child = self._starting = None
                self._busy_before, self._busy_now = self.busy_seconds, 0.0
                self.calls, self.disabled_there = (), {}
                self._changed.notify_all()
            child.bury()
        return self._after(child)

    def _greet(self, child: Child) -> str | None:
        """Wait until the worker is ready; return what keeps it from that."""
        try:
            error = child.greet(START_SECONDS)
        except TimeoutError:
            child.kill(f"was not ready after {START_SECONDS:g} s")
            return f"it {child.how_it_ended()}"
        except LaneClosed:
            reason, said = child.how_it_ended(), child.last_words()
            return f"it {reason}{f': {said[0]}' if said else ''}"
        if error is not None:
            self._refusal = error if isinstance(error, BadOption) else None
            return explain_error(error)
        with self._changed:
            self.devices = tuple(child.facts["devices"])
            self.child, self._starting, self.trouble, self._refusal = child, None, {}, None
            self._changed.notify_all()
        return None

    def _listen(self, child: Child) -> None:
        """Hear its signs of life until there are no more."""
        while True:
            message: Mapping[str, Any] = {}
            try:
                message, _ = child.control.receive(LISTEN_SECONDS)
            except TimeoutError:
                if child.is_over:
                    return  # it cannot be ended, as it hangs in a driver: there has to be another
            except LaneClosed:
                return
            if "log" in message:
                logs.log(message["log"], child.pid)
            elif message:
                self._note(child, message)
            if time.monotonic() - child.beat > ANSWER_SECONDS:
                child.kill(f"gave no sign of life for {ANSWER_SECONDS:g} s")
                return

    def _note(self, child: Child, told: Mapping[str, Any]) -> None:
        """Take note of a sign of life."""
        child.beat = time.monotonic()
        self.note_busy(child, told["busy"])
        self.disabled_there, self.calls = told["disabled"], told["running"]
        dropped = [self.dropped.popleft() for _ in range(len(self.dropped))]
        if numbers := [number for generation, number in dropped if generation == child.generation]:
            child.tell({"drop": numbers})

    def _after(self, child: Child) -> str | None:
        """Note the end of a worker that had been ready; return how it ended if it was of no use."""
        if child.is_closed:
            return None
        reason = child.how_it_ended()
        self.restarts += 1
        self.last_death = reason
        log.error("the worker died", worker=child.pid, reason=reason, pictures=child.suspects)
        return None if child.has_answered or child.suspects else f"it {reason}"

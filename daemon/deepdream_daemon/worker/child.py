"""One worker process, seen from the daemon: its lanes, its signs of life, and what it was at work on when it ended.

A call takes a lane of its own, so that each is a plain question and its answer; lanes are opened as they are needed.
When the process is gone, every call that it was at work on raises :class:`WorkerDied`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from deepdream_daemon.failpoints import hit
from deepdream_daemon.worker import faults, logs
from deepdream_daemon.worker.died import WorkerDied
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.spawned import Spawned
from deepdream_engine.errors import Cancelled

Kind = Literal["beside", "dream"]
"""Of a lane: what is done beside the dreams stands back for them."""


class Child:
    """Starts when it is made; :meth:`greet` says when it is ready."""

    def __init__(self, generation: int, order: Mapping[str, Any]) -> None:
        self.generation = generation
        self.facts: Mapping[str, Any] = {}
        """What it said of itself when it was ready."""
        self.beat = time.monotonic()
        self.has_answered = False
        """Whether it was of any use so far."""
        self.is_closed = False
        """Whether it was ended because nobody needs it any more."""
        self._lock = threading.Lock()
        self._idle: dict[Kind, list[Lane]] = {"beside": [], "dream": []}
        self._open: set[Lane] = set()
        self._inside = 0
        self._suspects: int | None = None
        self.control, theirs = Lane.pair()
        try:
            with theirs:
                self._process = Spawned(theirs.fileno())
        except BaseException:
            self.control.close()
            raise
        try:
            hit("worker.spawned")
            self.tell(order)
        except BaseException:
            self.bury()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def suspects(self) -> int:
        """How many pictures it was at work on when it ended."""
        return self._suspects or 0

    @property
    def is_over(self) -> bool:
        """Whether it is known to have ended."""
        return self._suspects is not None

    def greet(self, seconds: float) -> Exception | None:
        """Wait until it is ready, and return what it says keeps it from that; raises ``TimeoutError`` or
        :class:`LaneClosed`."""
        until = time.monotonic() + seconds
        while not self.facts:
            message, _ = self.control.receive(max(0.0, until - time.monotonic()))
            if "log" in message:
                logs.log(message["log"], self.pid)
            elif "fault" in message:
                return faults.unpacked(message["fault"])
            else:
                self.facts = message["ready"]
        self.beat = time.monotonic()
        return None

    def tell(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send it a message that needs no answer; one that is gone hears nothing."""
        with contextlib.suppress(LaneClosed):  # whoever listens for its signs of life is told
            self.control.send(message, descriptors)

    @contextmanager
    def lane(self, kind: Kind) -> Iterator[Lane]:
        """Give a lane to the caller alone; one that is left by an error is closed."""
        with self._lock:
            lane = self._idle[kind].pop() if self._idle[kind] else None
        if lane is None:
            lane, theirs = Lane.pair()
            with theirs:
                self.tell({"open": kind}, [theirs.fileno()])
            with self._lock:
                self._open.add(lane)
        try:
            yield lane
        except BaseException:
            with self._lock:
                self._open.discard(lane)
            lane.close()
            raise
        with self._lock:
            if not self.is_over:
                self._idle[kind].append(lane)
                return
            self._open.discard(lane)
        lane.close()

    def enter(self) -> None:
        """It is at work on one more picture."""
        with self._lock:
            self._inside += 1

    def leave(self, count: int = 1) -> None:
        """It is done with so many, or has ended."""
        with self._lock:
            self._inside -= count

    def kill(self, reason: str) -> None:
        """End it at once; ``reason`` is what is told."""
        self._process.kill(reason, show=bool(self.facts))  # before, it would not know what the signal is for

    def died(self) -> WorkerDied | Cancelled:
        """Return the error of a call that it does not answer any more, when it has ended."""
        reason = self.how_it_ended()
        if self.is_closed:
            return Cancelled("the worker process is not needed any more")
        return WorkerDied(reason, self.generation, self._suspects or 0)

    def how_it_ended(self) -> str:
        """Return how it ended; if it has not, it does now."""
        with self._lock:
            if self._suspects is None:
                self._suspects = self._inside
        return self._process.how_it_ended()

    def last_words(self) -> list[str]:
        """Return what it wrote to its standard error at last."""
        return self._process.last_words()

    def close(self) -> None:
        """End it: it leaves when its lanes close, and is made to if it does not."""
        with self._lock:
            self.is_closed = True
            lanes = [self.control, *self._open]
        for lane in lanes:
            lane.shut()
        self.how_it_ended()

    def bury(self) -> None:
        """End it, if it has not, and put away what is left of it, when nobody listens to it any more."""
        self.control.shut()
        self.how_it_ended()
        with self._lock:
            idle = [lane for lanes in self._idle.values() for lane in lanes]
            self._idle = {"beside": [], "dream": []}
            self._open.difference_update(idle)
        for lane in (self.control, *idle):
            lane.close()

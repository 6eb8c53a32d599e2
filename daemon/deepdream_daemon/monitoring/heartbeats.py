"""When each part of the daemon last showed that it lives: a loop that hangs is noticed, whatever holds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

FRESH_SECONDS = 60.0
"""A loop may be held up for so long by a slow disk or a busy journal; their own limits are far below."""


@dataclass
class _Lane:
    last: Callable[[], float | None]
    limit_seconds: float


class Heartbeats:
    """The parts by name, each with the time of its last beat; may be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._own: dict[str, Callable[[], None]] = {}

    def beat(self, name: str) -> None:
        """Note that the part ``name`` lives."""
        own = self._own.get(name)
        if own is None:
            own = self._own[name] = self.lane(name)
        own()

    def lane(self, name: str, limit_seconds: float = FRESH_SECONDS) -> Callable[[], None]:
        """Return what the part ``name`` calls at each turn of its loop; it has beaten now.

        Who had this name before is not listened to any more: the loops of an old configuration, that end in their own
        time, do not hide that one of the new ones hangs.
        """
        last = [self._clock()]

        def beat() -> None:
            last[0] = self._clock()

        with self._lock:
            self._lanes[name] = _Lane(lambda: last[0], limit_seconds)
        return beat

    def follow(self, name: str, last: Callable[[], float | None], limit_seconds: float = FRESH_SECONDS) -> None:
        """Ask ``last()`` for the time (``time.monotonic``) of the last beat of ``name``; ``None`` while there is no
        such part."""
        with self._lock:
            self._lanes[name] = _Lane(last, limit_seconds)

    def forget(self, name: str) -> None:
        """The part ``name`` has ended, as it should."""
        with self._lock:
            self._lanes.pop(name, None)
            self._own.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Return how many seconds ago each part last beat."""
        return {name: age for name, (age, _) in self._ages().items()}

    def stale(self) -> dict[str, float]:
        """Return the parts that have not beaten for longer than they may, each with the seconds since."""
        return {name: age for name, (age, limit) in self._ages().items() if age > limit}

    def _ages(self) -> dict[str, tuple[float, float]]:
        with self._lock:
            lanes = dict(self._lanes)
        now = self._clock()
        beats = ((name, lane.last(), lane.limit_seconds) for name, lane in lanes.items())
        return {name: (max(0.0, now - last), limit) for name, last, limit in beats if last is not None}

"""How long a film still takes, from how long its last frames took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 120.0
_FIRST_SECONDS = 5.0
"""Before that, what was measured is how long a network takes to load."""


class TimeLeft:
    """Estimates the time left by the pace of the last two minutes: later segments of a film may be slower."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def seconds(self, fraction: float) -> float | None:
        """Return the seconds left when ``fraction`` is done; ``None`` as long as nobody can tell."""
        now = self._clock()
        self._seen.append((now, fraction))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        if now - since < _FIRST_SECONDS or fraction <= before:
            return None
        return (1 - fraction) * (now - since) / (fraction - before)


def words(seconds: float) -> str:
    """Return a time in words that promise no more than is known: ``50 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

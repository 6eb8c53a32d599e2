"""How busy the devices are: the share of the time in which there was work that they spent dreaming."""

from __future__ import annotations

import time
from collections.abc import Callable


class Utilisation:
    """A clock that is told, whenever it changes, how many of the devices work and whether there is work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._working = 0.0
        self._is_wanted = False
        self._is_warm = False
        self._busy_seconds = 0.0
        self._wanted_seconds = 0.0

    def note(self, working: float) -> None:
        """Note the share of the devices that works from now on."""
        self._count()
        self._working = working

    def note_work(self, is_wanted: bool) -> None:
        """Note whether any job is under way from now on."""
        self._count()
        self._is_wanted = is_wanted

    def _count(self) -> None:
        now = self._clock()
        if self._is_wanted and self._is_warm:
            self._busy_seconds += self._working * (now - self._at)
            self._wanted_seconds += now - self._at
        self._at = now

    def warm(self) -> None:
        """The first dream is done: from now on it counts, since the model is loaded."""
        self._is_warm = True

    @property
    def share(self) -> float | None:
        """In [0, 1]; ``None`` before there was anything to measure."""
        return self._busy_seconds / self._wanted_seconds if self._wanted_seconds else None

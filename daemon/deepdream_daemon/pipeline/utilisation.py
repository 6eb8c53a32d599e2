"""How busy the devices are: the share of the time in which there was work that they spent computing."""

from __future__ import annotations

import time
from collections.abc import Callable


class Utilisation:
    """Compares clocks: ``busy_seconds`` tells how long all ``devices`` together have computed so far.
    There may be more of them later."""

    def __init__(
        self, busy_seconds: Callable[[], float], devices: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._read_busy = busy_seconds
        self.devices = devices
        self._at = clock()
        self._read = busy_seconds()
        self._is_wanted = False
        self._is_warm = False
        self._busy_seconds = 0.0
        self._wanted_seconds = 0.0

    def note_work(self, is_wanted: bool) -> None:
        """Note whether any job is under way from now on."""
        now, read = self._clock(), self._read_busy()
        if self._is_wanted and self._is_warm:
            self._busy_seconds += read - self._read
            self._wanted_seconds += self.devices * (now - self._at)
        self._at, self._read = now, read
        self._is_wanted = is_wanted

    def warm(self) -> None:
        """The first dream is done: from now on it counts, since the model is loaded."""
        if not self._is_warm:
            self.note_work(self._is_wanted)
            self._is_warm = True

    @property
    def share(self) -> float | None:
        """In [0, 1]; ``None`` before there was anything to measure. A pass counts when it is over, so it may lag."""
        return min(1.0, self._busy_seconds / self._wanted_seconds) if self._wanted_seconds else None

"""New files that a rescan found, until a hint tells of them as well or it is clear that none will.

A rescan may come before a hint that is on its way. So a file counts as missed by the events only when neither it nor
a folder above it has been hinted at for ``grace_seconds`` after it was found. Pure logic; used by one thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

GRACE_SECONDS = 5.0
"""Watchdog holds back what may be half of a move for half a second; a busy machine takes longer."""


class Unhinted:
    """Notes what was found and hinted, and says what was missed."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._found: deque[tuple[float, Path]] = deque()  # when, the oldest first
        self._hinted: set[Path] = set()  # since the oldest was found

    def found(self, path: Path) -> None:
        """A rescan came upon a new file."""
        self._found.append((self._clock(), path))

    def hinted(self, paths: Iterable[Path]) -> None:
        """Hints told of these files and folders."""
        if self._found:
            self._hinted.update(paths)

    def missed(self) -> list[Path]:
        """Return the files, each once, that no hint told of in time."""
        until = self._clock() - self._grace_seconds
        missed: list[Path] = []
        while self._found and self._found[0][0] <= until:
            path = self._found.popleft()[1]
            if path not in self._hinted and self._hinted.isdisjoint(path.parents):
                missed.append(path)
        if not self._found:
            self._hinted.clear()
        return missed

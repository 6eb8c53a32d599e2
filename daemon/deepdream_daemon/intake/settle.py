"""A file is whole when nothing about it has changed for ``settle_seconds`` by our own clock. Pure logic.

Times of modification are compared for equality only: copied files keep old ones, and clocks of file
servers differ.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class _Quiet:
    fingerprint: str
    since: float


class Settler:
    """Notes what unsettled files look like and says which have been quiet for long enough."""

    def __init__(self, settle_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._files: dict[Path, _Quiet] = {}
        self._deadlines: list[tuple[float, Path]] = []  # a heap; entries of files that changed since are stale

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: Path) -> bool:
        return path in self._files

    def see(self, path: Path, fingerprint: str) -> None:
        """Note what the file looks like now; its quiet time starts again if that has changed."""
        known = self._files.get(path)
        if known is None or known.fingerprint != fingerprint:
            now = self._clock()
            self._files[path] = _Quiet(fingerprint, now)
            heapq.heappush(self._deadlines, (now + self._settle_seconds, path))

    def due(self, limit: int) -> list[Path]:
        """Return up to ``limit`` files whose quiet time is over by our notes; each must be confirmed or
        forgotten.
        """
        now = self._clock()
        found: list[Path] = []
        while self._deadlines and self._deadlines[0][0] <= now and len(found) < limit:
            deadline, path = heapq.heappop(self._deadlines)
            quiet = self._files.get(path)
            if quiet is not None and quiet.since + self._settle_seconds <= deadline:
                found.append(path)
        return found

    def confirm(self, path: Path, fingerprint: str) -> bool:
        """Tell whether a due file still looks as noted; if not, it goes on settling."""
        known = self._files.get(path)
        if known is not None and known.fingerprint == fingerprint:
            del self._files[path]
            return True
        self.see(path, fingerprint)
        return False

    def forget(self, path: Path) -> None:
        """Stop waiting for a file: it is gone, or it is none of ours."""
        self._files.pop(path, None)

    def next_due(self) -> float | None:
        """Return the seconds until some file may be due; ``None`` when none is settling."""
        return max(0.0, self._deadlines[0][0] - self._clock()) if self._deadlines else None

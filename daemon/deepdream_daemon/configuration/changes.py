"""Whether a file says something else than when it was looked at last.

An editor may write it in pieces, or put another in its place; so a change counts when the file has kept still for a
moment, and only if its content is another one.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

QUIET_SECONDS = 0.4
GONE_SECONDS = 3.0
"""A file that is away for so long was not just being replaced."""

Look = tuple[int, int, int, int]


class Changes:
    """Watches one file by looking at it; what it says now is known already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.take_note()

    def take_note(self) -> None:
        """What the file says now is known."""
        self._seen = self._known = self._look()
        self._since = time.monotonic()
        self._digest = self._read()

    def there_are(self) -> bool:
        """Look; tell whether it says something else, once for each change."""
        now = self._look()
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        quiet_for = time.monotonic() - self._since
        if now == self._known or quiet_for < (QUIET_SECONDS if now is not None else GONE_SECONDS):
            return False
        before = self._digest
        self.take_note()
        return self._digest != before

    def _look(self) -> Look | None:
        """Return what changes with every writing; links are followed."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino

    def _read(self) -> str | None:
        """Return a digest of what it says; ``None`` if it cannot be read."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

"""Watched folders come and go: which directory each one is, and whether it is there at the moment.

A folder that is gone, or that has become another directory with nothing in it (the empty place under a
disk that was unmounted), is *away*. Nothing in a folder that is away counts as deleted; it is waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Root:
    """Which directory a watched folder is: another one under the same path is not the same folder."""

    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Root | None:
        """Look at the folder; ``None`` when it is not there (deleted, renamed, unmounted, stale)."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


class Roots:
    """The input folders, and which directory each one was when it was last there."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._seen: dict[Path, Root | None] = {folder: Root.of(folder) for folder in folders}

    def is_there(self, folder: Path) -> bool:
        """Look whether the folder is there now."""
        root = Root.of(folder)
        before = self._seen.get(folder)
        if root is None or (before is not None and root != before and _is_empty(folder)):
            return False
        self._seen[folder] = root
        return True

    def there(self) -> list[Path]:
        """Return the folders that are there now."""
        return [folder for folder in self._seen if self.is_there(folder)]

    def away(self) -> list[Path]:
        """Return the folders that are away now."""
        return [folder for folder in self._seen if not self.is_there(folder)]


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True

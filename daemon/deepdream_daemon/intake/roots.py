"""Watched folders come and go: which directory each one is, and whether it is there at the moment.

A folder is *away* when it is gone, when another, empty directory is in its place, or when the disk that was mounted on
it is not mounted any more, whatever lies beneath. Nothing in a folder that is away counts as deleted; it is waited for.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Root:
    """Which directory a watched folder is: another one under the same path is not the same folder."""

    device: int
    inode: int
    is_mount: bool = False

    @classmethod
    def of(cls, path: Path) -> Root | None:
        """Look at the folder; ``None`` when it is not there (deleted, renamed, unmounted, stale)."""
        try:
            return cls.look(path)
        except OSError:
            return None

    @classmethod
    def look(cls, path: Path) -> Root:
        """Look at the folder, and raise the ``OSError`` that says why it is not there."""
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
        above = Path(os.path.realpath(path)).parent.stat()  # it may be a link to another disk
        return cls(status.st_dev, status.st_ino, status.st_dev != above.st_dev)

    def resembles(self, before: Root) -> bool:
        """Tell whether this may be the directory that was there ``before``: a disk that is plugged in again is a device
        with another number.
        """
        return (self.inode, self.is_mount) == (before.inode, before.is_mount)


class Roots:
    """The input folders, and which directory each one was when it was last there; safe to ask from any thread.

    ``noted`` are those of an earlier run, so that it is known from the start what is away.
    """

    def __init__(self, folders: Iterable[Path], noted: Mapping[Path, Root] | None = None) -> None:
        self._seen: dict[Path, Root | None] = {}
        for folder in folders:
            root, before = Root.of(folder), (noted or {}).get(folder)
            is_vacated = root is not None and before is not None and _is_vacated(folder, root, before)
            self._seen[folder] = before if is_vacated else root

    def is_there(self, folder: Path) -> bool:
        """Look whether the folder is there now."""
        root = Root.of(folder)
        before = self._seen.get(folder)
        if root is None or (before is not None and _is_vacated(folder, root, before)):
            return False
        self._seen[folder] = root
        return True

    def there(self) -> list[Path]:
        """Return the folders that are there now."""
        return [folder for folder in self._seen if self.is_there(folder)]

    def away(self) -> list[Path]:
        """Return the folders that are away now."""
        return [folder for folder in self._seen if not self.is_there(folder)]

    def seen(self) -> dict[Path, Root]:
        """Return which directory each folder was when it was last there, to be noted for the next run."""
        return {folder: root for folder, root in list(self._seen.items()) if root is not None}


def _is_vacated(folder: Path, root: Root, before: Root) -> bool:
    if root.resembles(before):
        return False
    return (before.is_mount and not root.is_mount) or _is_empty(folder)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True

"""How much disk space is free, and the floor below which nothing is published."""

from __future__ import annotations

import errno
import os
from pathlib import Path

GIB = 1 << 30


class TooLittleSpace(OSError):
    """Less is free than ``[daemon] min_free_gib`` asks for: it is treated as a full disk, before it is one."""

    def __init__(self, directory: Path, free_bytes: int, floor_bytes: int) -> None:
        told = f"{shown(free_bytes)} of its disk are free, less than [daemon] min_free_gib = {floor_bytes / GIB:g}"
        super().__init__(errno.ENOSPC, told, os.fspath(directory))
        self.or_else = ", or lower [daemon] min_free_gib"


def free_bytes(directory: Path) -> int | None:
    """Return how many bytes the daemon's user may still write there; ``None`` where the file system does not say."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def check_floor(directory: Path, floor_gib: float, more_bytes: int = 0) -> None:
    """Raise :class:`TooLittleSpace` if less than ``floor_gib`` would be free there after ``more_bytes`` are written."""
    if floor_gib <= 0:
        return
    free = free_bytes(directory)
    floor = int(floor_gib * GIB)
    if free is not None and free - more_bytes < floor:
        raise TooLittleSpace(directory, free, floor)


def shown(size_bytes: float) -> str:
    """Return a size for people: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if size_bytes >= 100 else f"{size_bytes:.3g} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.3g} GiB"

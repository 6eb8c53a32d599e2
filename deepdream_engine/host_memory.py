"""The memory of this machine, or of the container that it is; and the C library's, on a CPU: large blocks are kept for
the next pass rather than handed back after each.

glibc maps every block above 32 MiB anew and hands it back when it is freed, so that each pass would touch fresh pages
for most of its activations, which the kernel must zero first: a quarter of the time of large pictures and more.
"""

from __future__ import annotations

import contextlib
import ctypes
from functools import lru_cache
from pathlib import Path

import psutil

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's ``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD``."""
_LARGEST_KEPT_BYTES = 1 << 30
_MOST = 2**31 - 1
_CONTAINER = Path("/sys/fs/cgroup")


def total_bytes() -> int:
    """Return how much memory this machine, or the container that it is, has."""
    total = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):  # no such limit
        total = min(total, int(_told("memory.max")))
    return total


def free_bytes() -> int:
    """Return how much of it is free, or can be had from the cache of files."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        counts = {key: int(count) for key, count in map(str.split, _told("memory.stat").splitlines())}
        used = int(_told("memory.current")) - counts.get("inactive_file", 0)
        free = min(free, max(0, int(_told("memory.max")) - used))
    return free


def _told(name: str) -> str:
    return (_CONTAINER / name).read_text(encoding="ascii")


def keep_blocks() -> None:
    """Let freed blocks of up to 1 GiB be used again. Holds for the whole process; without glibc nothing happens."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _MOST)


def hand_back() -> None:
    """Give what is free back to the system."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        _ = libc.gnu_get_libc_version, libc.mallopt, libc.malloc_trim
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return None
    return libc

"""What a decoder gives up before it looks at the first picture, so that one that takes it over gains little.

Everywhere: no core dump, no file that grows, few descriptors, no new process (unless it is root), and for each picture
so much memory and processor time. On Linux with Landlock (5.13 or newer) also: no file is opened, no TCP port, no
process signalled; it is the first to be killed when memory runs out.

What is *not* done: system calls are not filtered (seccomp), and UDP and other sockets stay possible.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import os
import resource
import struct
import sys
import time
from pathlib import Path

NICE = 10
DESCRIPTORS = 32
_OOM_SCORE = "800"

# The same numbers on all architectures of Linux.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_PR_SET_NO_NEW_PRIVS = 38
# What each version of Landlock has learnt to deny: rights on files, on the network, and beyond the process.
_RIGHTS = (
    ((1 << 13) - 1, 0, 0),
    ((1 << 14) - 1, 0, 0),
    ((1 << 15) - 1, 0, 0),
    ((1 << 15) - 1, 3, 0),
    ((1 << 16) - 1, 3, 0),
    ((1 << 16) - 1, 3, 3),
)


class Confinement:
    """The limits of this process. ``most_memory_bytes`` is what no picture may go beyond, on top of what the process
    has now.
    """

    def __init__(self, most_memory_bytes: int) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if sys.platform == "linux" else None
        with contextlib.suppress(OSError):
            os.nice(NICE)  # the engine's threads wait for each other, so decoding stands back
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
        self.without_files = _without_files()
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_NOFILE, DESCRIPTORS)
        _lower(resource.RLIMIT_NPROC, 0)
        self._base_bytes = self._memory_bytes()
        self._is_bounded = self._statm is not None  # elsewhere the daemon watches what is in memory
        if self._is_bounded:
            _lower(resource.RLIMIT_AS, self._base_bytes + most_memory_bytes)

    def bound(self, memory_bytes: int, cpu_seconds: float) -> None:
        """Allow so much memory on top of what the process had at first, and so much more processor time."""
        if self._is_bounded:
            _soften(resource.RLIMIT_AS, self._base_bytes + memory_bytes)
        _soften(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_seconds))

    def has_room(self) -> bool:
        """Tell whether the machine would have given the memory that is allowed, so that a lack of it was this
        process's own.
        """
        if not self._is_bounded:
            return False
        allowed, _most = resource.getrlimit(resource.RLIMIT_AS)
        rest = allowed - self._memory_bytes() - (16 << 20)  # what is asked for in one piece may not fit quite
        try:
            mmap.mmap(-1, max(1, rest)).close()
        except (OSError, MemoryError):
            return False
        return True

    def _memory_bytes(self) -> int:
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 100, 0).split()[0]) * mmap.PAGESIZE


def _lower(what: int, most: int) -> None:
    """Set a limit for good; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    if hard == resource.RLIM_INFINITY or hard > most:
        with contextlib.suppress(OSError, ValueError):  # a system that does not know this limit
            resource.setrlimit(what, (most, most))


def _soften(what: int, wanted: int) -> None:
    _, hard = resource.getrlimit(what)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(what, (soft, hard))


def landlock_version() -> int:
    """Return which version of Landlock the kernel has; 0 for none."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


def _without_files() -> bool:
    """Forbid this process to open any file from now on; tell whether the kernel can do that."""
    version = landlock_version()
    if not version:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    files, network, scope = _RIGHTS[min(version, len(_RIGHTS)) - 1]
    known = struct.pack("=QQQ", files, network, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, known, ctypes.c_size_t(len(known)), 0)
    if ruleset < 0:
        return False
    try:
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)

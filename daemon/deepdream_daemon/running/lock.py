"""Whether a daemon works with a state folder: its lock tells, also after a ``kill -9``."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def running_pid(state: Path) -> int | None:
    """Return the process id of the daemon that holds the lock in ``state`` (0 if unknown), or ``None``."""
    from deepdream_daemon.running.daemon import LOCK_FILE

    try:
        number = os.open(state / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(state / f"{LOCK_FILE}.pid")
    finally:
        os.close(number)
    return None


def _pid(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0

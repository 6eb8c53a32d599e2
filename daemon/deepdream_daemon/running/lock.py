"""One daemon per state folder: its lock tells whether one works with it, also after a ``kill -9``."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdream_engine.errors import DeepDreamError

LOCK_FILE = "daemon.lock"
LOCK_SECONDS = 0.4
"""Somebody who only looks whether a daemon runs holds the lock for an instant; that is no second instance."""


class AlreadyRunning(DeepDreamError):
    """Another daemon works with the same state folder."""


@contextmanager
def alone_with(state: Path) -> Iterator[None]:
    """Be the daemon of the folder ``state``; raises :class:`AlreadyRunning` at once."""
    from filelock import FileLock, Timeout

    lock = FileLock(state / LOCK_FILE, timeout=LOCK_SECONDS)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise _already_running(state, _pid(state)) from error
    try:
        _pid_file(state).write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        lock.release()


def check_alone(state: Path) -> None:
    """Raise :class:`AlreadyRunning` if somebody is the daemon of ``state``; whoever wants to be it asks again then."""
    if (pid := running_pid(state)) is not None:
        raise _already_running(state, pid)


def running_pid(state: Path) -> int | None:
    """Return the process id of the daemon that holds the lock in ``state`` (0 if unknown), or ``None``."""
    try:
        number = os.open(state / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(state)
    finally:
        os.close(number)
    return None


def _already_running(state: Path, pid: int) -> AlreadyRunning:
    return AlreadyRunning(
        f"A daemon is already running with the state folder {os.fspath(state)!r} (process {pid or 'unknown'}). "
        "Stop it first, or give this one another [daemon] state."
    )


def _pid(state: Path) -> int:
    try:
        return int(_pid_file(state).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _pid_file(state: Path) -> Path:
    return state / f"{LOCK_FILE}.pid"

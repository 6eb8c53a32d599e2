"""Named places at which a test may kill the daemon as a power cut would, or have the machine fail; without the
variables they do nothing.

``DEEPDREAM_FAILPOINT=publish.linked:3`` ends the process with SIGKILL when ``publish.linked`` is passed for the third
time. ``DEEPDREAM_FAULT=publish.temp_written:ENOSPC:3`` raises what the operating system would at the third pass: an
``OSError`` with that number, a ``MemoryError``, or one of SQLite's (``SQLITE_FULL``), by these names. Instead of ``3``
it may say ``3+`` (from then on), ``2-5``, ``10%`` (of the passes, by chance) or the path of a file: as long as there is
one. Several faults stand beside each other with commas. Both variables are read once, at import.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import re
import signal
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

POINTS = (
    "intake.hashed",
    "intake.recorded",
    "claim.committed",
    "develop.read",
    "develop.prepared",
    "dream.begun",
    "dream.finished",
    "finish.checked",
    "finish.encoded",
    "publish.temp_created",
    "publish.temp_written",
    "publish.temp_synced",
    "publish.announced",
    "publish.linked",
    "publish.directory_synced",
    "publish.done",
    "publish.temp_removed",
    "quarantine.written",
    "recovery.begun",
    "recovery.requeued",
    "journal.before_commit",
    "journal.committed",
)
DELIVERY_POINTS = ("delivery.begun", "delivery.returned", "delivery.recorded")
"""Passed only where dreams go to sinks."""
WORKER_POINTS = ("worker.spawned", "worker.prepared", "worker.finished")
"""Passed by the daemon, and only where dreams are made in a worker process, which it then leaves behind."""
DISPOSE_POINTS = (
    "dispose.announced",
    "dispose.linked",
    "dispose.copy_begun",
    "dispose.copied",
    "dispose.placed",
    "dispose.aside_made",
    "dispose.aside_taken",
    "dispose.removed",
    "dispose.followed",
    "dispose.trashed",
    "dispose.done",
)
"""Passed only where sources are moved, put into the trash or deleted; those of copying, only between disks."""
COPY_POINTS = (
    "copy.claimed",
    "copy.temp_created",
    "copy.temp_synced",
    "copy.staged",
    "copy.published",
    "copy.done",
)
"""Passed only where files that are no pictures are copied."""
FILM_POINTS = ("film.chunk_closed", "film.chunk_kept", "film.assembled")
"""Passed only where films are made."""
PREVIEW_POINTS = ("preview.staged", "preview.shown", "preview.replacing", "preview.exchanged")
"""Passed only where previews are published."""
WITHDRAWAL_POINTS = ("preview.aside",)
"""Passed only where a preview is taken away, since its job has ended without a dream."""
VARIABLE = "DEEPDREAM_FAILPOINT"
FAULT_VARIABLE = "DEEPDREAM_FAULT"

_SQLITE = {
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_IOERR": "disk I/O error",
    "SQLITE_BUSY": "database is locked",
}
_TURNS = re.compile(r"(?P<first>\d+)(?P<on>\+|-(?P<last>\d+))?|(?P<share>\d+(\.\d+)?)%|(?P<path>/.*)")


@dataclass
class Fault:
    """What happens at a point, and at which of its passes; safe to pass from any thread."""

    point: str
    error: str
    """The name of an ``errno``, ``MemoryError``, one of SQLite's, or ``SIGKILL``."""
    turns: str
    _passes: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if not _TURNS.fullmatch(self.turns):
            raise ValueError(
                f"the fault at {self.point}: {self.turns!r} is no turn. Valid: 3, 3+, 2-5, 10%, or the path of a file."
            )
        names = ("SIGKILL", "MemoryError", *_SQLITE)
        if self.error not in names and not isinstance(getattr(errno, self.error, None), int):
            raise ValueError(f"the fault at {self.point}: {self.error!r} is neither an errno nor {', '.join(names)}.")

    def pass_by(self) -> None:
        """Strike, if it is its turn."""
        with self._lock:
            if self._is_turn(next(self._passes)):
                self._strike()

    def _is_turn(self, nth: int) -> bool:
        found = _TURNS.fullmatch(self.turns)
        assert found is not None  # checked when it was made
        if path := found["path"]:
            return os.path.exists(path)  # noqa: PTH110  (a Path for each pass)
        if share := found["share"]:
            return random.random() * 100 < float(share)
        first = int(found["first"])
        last = float("inf") if found["on"] == "+" else int(found["last"] or first)
        return first <= nth <= last

    def _strike(self) -> None:
        if self.error == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # the signal may arrive a moment later; nothing may happen in between
        if self.error == "MemoryError":
            raise MemoryError(f"injected at {self.point}")
        if self.error in _SQLITE:
            raise sqlite3.OperationalError(_SQLITE[self.error])
        number = getattr(errno, self.error)
        raise OSError(number, os.strerror(number))


def parse(kill: str, faults: str) -> dict[str, list[Fault]]:
    """Return the faults that the values of both variables ask for, by point."""
    found: dict[str, list[Fault]] = {}
    name, _, nth = kill.partition(":")
    written = [(name, "SIGKILL", nth or "1")] if name else []
    for text in filter(None, faults.split(",")):
        point, _, rest = text.partition(":")
        error, _, turns = rest.partition(":")
        written.append((point, error, turns or "1"))
    for point, error, turns in written:
        found.setdefault(point, []).append(Fault(point, error, turns))
    return found


_armed = parse(os.environ.get(VARIABLE, ""), os.environ.get(FAULT_VARIABLE, ""))


def _hit(name: str) -> None:
    """Pass the point ``name``: nothing happens, unless a fault is armed there and its turn has come."""
    for fault in _armed.get(name, ()):
        fault.pass_by()


def _nothing(name: str) -> None:
    """Pass the point ``name``, where nothing is armed at all."""


hit: Callable[[str], None] = _hit if _armed else _nothing

"""The daemon's snapshot in a file of its state folder, for a screen in another process (``deepdream status --watch``).

It is written only while somebody looks: whoever does holds a shared lock on a file beside it, which the kernel takes
back with the process. An idle daemon that nobody watches writes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import structlog

from deepdream_daemon.journal.deliveries import Undelivered
from deepdream_daemon.running.snapshot import Active, Finished, Snapshot, Trouble

log = structlog.get_logger("deepdream")

FILE, LOCK = "live.json", "live.lock"
EVERY_SECONDS = 0.5
STALE_SECONDS = 5.0
"""What is older was left by a daemon that was killed, or one that hangs."""


class Showing:
    """Writes what ``snapshot`` returns into the folder ``state`` while somebody watches."""

    def __init__(self, state: Path, snapshot: Callable[[], Snapshot]) -> None:
        self._file = state / FILE
        self._lock = state / LOCK
        self._snapshot = snapshot

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop``. A disk that is full or away only means that nothing is shown."""
        number = -1
        while not stop.wait(EVERY_SECONDS):
            with contextlib.suppress(OSError):
                if number < 0:
                    number = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if _is_watched(number):
                    self._write()
        if number >= 0:
            os.close(number)
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        temp = self._file.with_name(f".{self._file.name}.tmp")
        written = {"at": time.time(), "snapshot": to_dict(self._snapshot())}
        temp.write_text(json.dumps(written), encoding="ascii")  # nobody needs it after a power cut, so without fsync
        temp.replace(self._file)


@contextlib.contextmanager
def watching(state: Path) -> Iterator[Callable[[], Snapshot | None]]:
    """While this is open the daemon shows what it does; yields how to get that, ``None`` if it shows nothing."""
    number: list[int] = []

    def latest() -> Snapshot | None:
        with contextlib.suppress(OSError):
            if not number:  # the daemon makes the file, and may have been started since
                number.append(os.open(state / LOCK, os.O_RDONLY | os.O_CLOEXEC))
                fcntl.flock(number[0], fcntl.LOCK_SH)
        return read(state)

    try:
        yield latest
    finally:
        for each in number:
            os.close(each)


def read(state: Path) -> Snapshot | None:
    """Return what the daemon showed a moment ago, if it did."""
    try:
        written = json.loads((state / FILE).read_text(encoding="ascii"))
        if abs(time.time() - written["at"]) > STALE_SECONDS:
            return None
        return from_dict(written["snapshot"])
    except (OSError, ValueError, KeyError, TypeError):  # of another version, maybe
        return None


def to_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Return ``snapshot`` as JSON can hold it, every path as text."""
    values = asdict(snapshot)
    values["free_bytes"] = {str(path): number for path, number in snapshot.free_bytes.items()}
    for name in ("active", "finished", "errors"):
        values[name] = [{key: _plain(value) for key, value in each.items()} for each in values[name]]
    return values


def from_dict(values: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that :func:`to_dict` was given; what this version does not know is left out."""
    known = {field.name: values[field.name] for field in fields(Snapshot) if field.name in values}
    known["active"] = tuple(Active(**_with_paths(each)) for each in values["active"])
    known["finished"] = tuple(Finished(**_with_paths(each)) for each in values["finished"])
    known["errors"] = tuple(Trouble(**_with_paths(each)) for each in values["errors"])
    known["free_bytes"] = {Path(path): number for path, number in values.get("free_bytes", {}).items()}
    if values.get("undelivered") is not None:
        known["undelivered"] = Undelivered(**values["undelivered"])
    return Snapshot(**known)


def _is_watched(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(number, fcntl.LOCK_UN)
    return False


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _with_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Path(value) if name in {"path", "output"} else value for name, value in values.items()}

"""What all sinks need of a delivery: its dream, its names as text that can be sent, and one delivery at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from deepdream_engine.errors import BadPicture, NotDelivered
from deepdream_plugins.events import Delivery

_WAIT_SECONDS = 5.0

_locks: dict[str, threading.Lock] = {}
_locks_guard = threading.Lock()


def shown(text: str) -> str:
    r"""Return ``text`` as it can be sent and drawn: bytes that are no text as ``\xff``, control characters escaped."""
    readable = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in readable)


def dream_of(delivery: Delivery) -> Path:
    """Return where the dream is; :class:`BadPicture` if somebody took it away, for which no later try makes up."""
    path = Path(delivery.output)
    if path.is_file():
        return path
    root = Path(delivery.output_folder)
    if not root.is_dir():
        raise NotDelivered(f"The output folder {shown(str(root))!r} is away. Mount it again.")
    raise BadPicture(
        f"The dream {shown(str(path))!r} is no longer there: it was moved or deleted before it was delivered. Put it "
        f"back and run `deepdream retry`, or let it be."
    )


def finished_at(delivery: Delivery) -> datetime:
    """Return when the dream was finished, on the clock of this place."""
    return datetime.fromtimestamp(delivery.finished).astimezone()


@contextlib.contextmanager
def one_at_a_time(delivery: Delivery) -> Iterator[Path]:
    """Hold the sink's state folder, which is made if need be. A delivery that was given up may still be at work: then
    the next one fails rather than writing the same files beside it."""
    with _locks_guard:
        lock = _locks.setdefault(delivery.state, threading.Lock())
    if not lock.acquire(timeout=_WAIT_SECONDS):
        raise NotDelivered("An earlier delivery of this sink, which was given up, still hangs. Is its disk away?")
    try:
        state = Path(delivery.state)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield state
    finally:
        lock.release()

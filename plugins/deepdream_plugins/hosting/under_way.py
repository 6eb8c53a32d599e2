"""Which calls of strangers' code are under way: who has been at what for how long.

Noted before each call and forgotten after it, in the thread that makes it; no lock, since each thread has an entry of
its own and a dict's single operations are atomic.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple


class Call(NamedTuple):
    """A call of ``what`` of ``plugin``, since ``since`` of the monotonic clock."""

    plugin: str
    what: str
    since: float


_calls: dict[int, Call] = {}


def begin(plugin: str, what: str) -> Call | None:
    """Note a call in this thread; return what was noted before, for :func:`end`."""
    thread = threading.get_ident()
    before = _calls.get(thread)
    _calls[thread] = Call(plugin, what, time.monotonic())
    return before


def pause() -> Call | None:
    """Note that this thread is at our own code; return what was noted before, for :func:`end`."""
    return _calls.pop(threading.get_ident(), None)


def end(before: Call | None) -> None:
    """Go back to what was noted before. Its time begins anew: whoever has called somebody else does not hang."""
    thread = threading.get_ident()
    if before is None:
        _calls.pop(thread, None)
    else:
        _calls[thread] = before._replace(since=time.monotonic())


def under_way() -> list[tuple[str, str, float]]:
    """Return plugin, what is called, and for how many seconds, the longest first; those that were given up as too slow
    and have not ended are among them."""
    now = time.monotonic()
    found = [(call.plugin, call.what, now - call.since) for call in _calls.copy().values()]
    return sorted(found, key=lambda call: -call[2])

"""Hours of the day in which a watched folder's pictures are dreamt, such as ``22:00-06:00``.

They are those of the clock on the wall: the local time is looked at anew each time, so that nothing has to be reckoned
when the clocks change. Hours that a change leaves out are passed over that day, those that come twice are open twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

MINUTE_SECONDS = 60
DAY_MINUTES = 24 * 60
_LOOK_AHEAD_MINUTES = 3 * DAY_MINUTES
"""Hours that come every day have come by then, also when a change of the clocks leaves one day's out."""


def is_open(hours: Sequence[str], now: float | None = None) -> bool:
    """Tell whether ``now`` (unix time) is within the hours; it always is when there are none."""
    if not hours:
        return True
    local = time.localtime(now)
    return _is_within(local.tm_hour * 60 + local.tm_min, _spans(hours))


def opens_at(hours: Sequence[str], now: float | None = None) -> float | None:
    """Return when (unix time) the hours are open next, which is ``now`` if they are; ``None`` if they never are."""
    now = time.time() if now is None else now
    if is_open(hours, now):
        return now
    minute = now - now % MINUTE_SECONDS  # every offset from UTC that is in use is of whole minutes
    for _ in range(_LOOK_AHEAD_MINUTES):
        minute += MINUTE_SECONDS
        if is_open(hours, minute):
            return minute
    return None


def _spans(hours: Iterable[str]) -> list[tuple[int, int]]:
    return [(_minutes(start), _minutes(end)) for start, _, end in (each.partition("-") for each in hours)]


def _is_within(minute: int, spans: Iterable[tuple[int, int]]) -> bool:
    for start, end in spans:
        if start < end:
            if start <= minute < end:
                return True
        elif minute >= start or minute < end:  # past midnight; from a minute to itself is the whole day
            return True
    return False


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)

"""Easing: how something passes from one value to the next, as a curve from 0 to 1 over a time from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Curve = Callable[[float], float]

EASINGS: Mapping[str, Curve] = {
    "linear": lambda time: time,
    "smooth": lambda time: time * time * (3 - 2 * time),
    "in": lambda time: time * time,
    "out": lambda time: time * (2 - time),
}
"""``smooth`` begins and ends at rest; ``in`` begins at rest, ``out`` ends so."""


def between(values: Sequence[float], time: float, easing: str) -> float:
    """Return where a track of keyframes, evenly apart over times from 0 to 1, is at ``time``."""
    if len(values) == 1:
        return values[0]
    place = min(max(time, 0.0), 1.0) * (len(values) - 1)
    first = min(math.floor(place), len(values) - 2)
    share = EASINGS[easing](place - first)
    return values[first] + share * (values[first + 1] - values[first])

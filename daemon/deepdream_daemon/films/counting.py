"""The frames of a clip, counted by their packets: how many, when they are shown, and whether all are there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.limits import ClipLimits
from deepdream_engine.errors import BadPicture

_MISSING_SHARE, _MISSING_SECONDS = Fraction(1, 50), Fraction(1, 4)
"""Of the length that the header tells: what may be missing before it is truncated, as some programs count the end."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the packets tell: when frames are shown (in units of the stream), in order, and when the last one ends."""

    times: tuple[int, ...]
    end: int


def count(source: Any, stream: Any, limits: ClipLimits, name: str) -> Counted:
    """Walk through the packets of ``stream``; raises :class:`BadPicture` for none, for too many, and for fewer than the
    header tells of."""
    times, end, declared = [], 0, stream.frames
    for packet in source.demux(stream):
        shown = packet.dts if packet.pts is None else packet.pts
        if not packet.size or shown is None or packet.is_discard:
            continue
        times.append(shown)
        end = max(end, shown + (packet.duration or 0))
        limits.check_frames(len(times))
        limits.check_seconds((end - times[0]) * stream.time_base)
    if not times:
        raise BadPicture(f"this {name} has no frames. Copy or export it again.")
    missing = _missing(source, (end - min(times)) * stream.time_base)
    if len(times) < declared - max(1, declared // 100) or missing is not None:
        told = missing or f"its header tells of {declared} frames, and {len(times)} are there"
        raise BadPicture(f"a truncated {name}: {told}. Copy it again.")
    times.sort()
    usual = times[-1] - times[-2] if len(times) > 1 else 0
    return Counted(times=tuple(times), end=max(end, times[-1] + (usual or 1)))


def _missing(source: Any, there: Fraction) -> str | None:
    if source.duration is None:
        return None
    declared = Fraction(source.duration, pyav().time_base)
    if source.streams.audio or declared - there <= max(_MISSING_SECONDS, declared * _MISSING_SHARE):
        return None  # the sound may be longer
    return f"its header tells of {float(declared):.1f} s, and {float(there):.1f} s are there"

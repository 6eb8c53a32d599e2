"""The timeline of a film: what is dreamt in each frame, and how the camera moves from the frame before.

A :class:`Timeline` is a row of segments; :meth:`Timeline.at` tells of any frame by its number alone, so that a film can
go on anywhere. What the segments maximise is somebody else's business: here they are known by their numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.motion.easing import EASINGS, between

Track = tuple[float, ...]
"""Keyframes, evenly apart from the first frame of a segment to its last; one alone holds for all of it."""

WAYS = ("forwards", "ping-pong", "loop")
"""How a film is played. ``ping-pong``: there and back again. ``loop``: its end passes into its beginning."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How a frame follows from the one before: it grows by ``zoom`` about the point ``(across, down)`` and turns
    clockwise by ``degrees`` about it, and the view moves right and down by ``pan``; points and ways are shares of width
    and height."""

    zoom: float = 1.0
    degrees: float = 0.0
    pan: tuple[float, float] = (0.0, 0.0)
    centre: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A number of frames with one objective. The last ``fade`` of them pass into the next segment.

    ``strength`` are factors of the step size; ``weights`` those of the objective's terms, by their names. ``steps`` and
    ``octaves`` are numbers, or the dream's own. ``pan`` and ``centre`` are tracks for each of the two axes.
    """

    frames: int
    fade: int = 0
    easing: str = "smooth"
    zoom: Track = (1.0,)
    degrees: Track = (0.0,)
    pan: tuple[Track, Track] = ((0.0,), (0.0,))
    centre: tuple[Track, Track] = ((0.5,), (0.5,))
    strength: Track = (1.0,)
    weights: Mapping[str, Track] = field(default_factory=dict)
    steps: int | None = None
    octaves: int | None = None

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise BadOption(f"frames {self.frames}: a segment needs at least one frame.")
        if not 0 <= self.fade <= self.frames:
            raise BadOption(f"fade {self.fade}: it lies within the segment's {self.frames} frames; give at most these.")
        if self.easing not in EASINGS:
            raise BadOption(unknown("easing", self.easing, list(EASINGS)))


@dataclass(frozen=True)
class Share:
    """A segment, by its number, and how much it counts in a frame; ``weights`` are those of its terms there."""

    segment: int
    share: float
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What happens in one frame: the segments at work, one or, in a fade, two, and how the camera moves to get there.

    ``strength`` is a factor of the step size; ``steps`` and ``octaves`` are the dream's own if ``None``.
    """

    shares: tuple[Share, ...]
    motion: Motion
    strength: float = 1.0
    steps: int | None = None
    octaves: int | None = None


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Segments in a row. In a ``loop``, the fade of the last one leads into the first, and so must be there; the film
    closes over as many frames again."""

    segments: tuple[Segment, ...]
    way: str = "forwards"

    def __post_init__(self) -> None:
        if not self.segments:
            raise BadOption("segments: there is none. Give at least one.")
        if self.way not in WAYS:
            raise BadOption(unknown("way", self.way, WAYS))
        if self.way == "loop" and not 0 < self.closing <= self.frames // 2:
            raise BadOption(
                f"way 'loop': the last segment fades into the first over {self.closing} of the film's {self.frames} "
                f"frames, and it must be at least one and at most half of them. Change its fade."
            )

    @cached_property
    def frames(self) -> int:
        """How many frames all segments have together."""
        return self._ends[-1]

    @property
    def closing(self) -> int:
        """Over how many frames a loop closes."""
        return self.segments[-1].fade if self.way == "loop" else 0

    @property
    def dreamt(self) -> int:
        """How many frames must be dreamt."""
        return self.frames + self.closing

    @property
    def shown(self) -> int:
        """How many frames the film has. Going back, neither end is shown twice, so that it can be played again and
        again."""
        return self.frames if self.way != "ping-pong" else max(self.frames, 2 * self.frames - 2)

    @property
    def borders(self) -> tuple[int, ...]:
        """The first frame of each segment but the first."""
        return self._ends[:-1]

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(segment.frames for segment in self.segments))

    def at(self, number: int) -> Moment:
        """Return what happens in frame ``number``, counted from 0. Beyond the end, a loop begins again."""
        number %= self.frames
        index = bisect_right(self._ends, number)
        segment = self.segments[index]
        place = number - (self._ends[index] - segment.frames)
        following = (index + 1) % len(self.segments)
        leads_on = index + 1 < len(self.segments) or self.way == "loop"
        inside = place - (segment.frames - segment.fade) + 1  # which frame of the fade, from 1
        here = _moment(index, segment, place)
        if inside < 1 or not leads_on or following == index:
            return here
        share = EASINGS[segment.easing](inside / (segment.fade + 1))
        return _mixed(here, _moment(following, self.segments[following], 0), share)


def _moment(index: int, segment: Segment, place: int) -> Moment:
    """Return what frame ``place`` of a segment would be by itself."""
    time = place / max(1, segment.frames - 1)

    def now(track: Track) -> float:
        return between(track, time, segment.easing)

    return Moment(
        shares=(Share(index, 1.0, {name: now(track) for name, track in segment.weights.items()}),),
        motion=Motion(
            zoom=now(segment.zoom),
            degrees=now(segment.degrees),
            pan=(now(segment.pan[0]), now(segment.pan[1])),
            centre=(now(segment.centre[0]), now(segment.centre[1])),
        ),
        strength=now(segment.strength),
        steps=segment.steps,
        octaves=segment.octaves,
    )


def _mixed(here: Moment, there: Moment, share: float) -> Moment:
    """Return ``here`` with ``share`` of ``there``. Whole numbers change in the middle, or step by step."""
    (one,), (other,) = here.shares, there.shares

    def mix(first: float, second: float) -> float:
        return first + share * (second - first)

    def whole(first: int | None, second: int | None) -> int | None:
        if first is None or second is None:
            return first if share < 0.5 else second
        return round(mix(first, second))

    before, after = here.motion, there.motion
    return Moment(
        shares=(Share(one.segment, 1 - share, one.weights), Share(other.segment, share, other.weights)),
        motion=Motion(
            zoom=mix(before.zoom, after.zoom),
            degrees=mix(before.degrees, after.degrees),
            pan=(mix(before.pan[0], after.pan[0]), mix(before.pan[1], after.pan[1])),
            centre=(mix(before.centre[0], after.centre[0]), mix(before.centre[1], after.centre[1])),
        ),
        strength=mix(here.strength, there.strength),
        steps=whole(here.steps, there.steps),
        octaves=whole(here.octaves, there.octaves),
    )

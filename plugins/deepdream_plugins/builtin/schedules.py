"""Ways to arrange the octaves and steps of a picture: as the recipe's keys say, or by the picture's size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import Option, ScheduleSpec
from deepdream_plugins.resolving.keys import SCHEDULE

if TYPE_CHECKING:
    from deepdream_engine.records import Schedule

Number = TypeVar("Number", int, float)
_BOUNDS = {option.name: (option.minimum or 0, option.maximum or math.inf) for option in SCHEDULE}


def pyramid(schedule: Schedule, _height: int, _width: int) -> Schedule:
    """Leave it as the recipe's keys say."""
    return schedule


def fit(schedule: Schedule, height: int, width: int, *, smallest_px: int) -> Schedule:
    """Give the pyramid as many octaves as it takes until the shorter side is about ``smallest_px``.

    What the recipe says of each octave is stretched to them: the smallest gets the first value, the largest the last.
    """
    most = int(_BOUNDS["octaves"][1])
    steps_down = math.log(max(1.0, min(height, width) / smallest_px), schedule.octave_scale)
    octaves = min(most, 1 + round(steps_down) + schedule.octaves_above)
    return replace(
        schedule,
        octaves=octaves,
        steps=_stretched(schedule.steps, octaves),
        step_size=_stretched(schedule.step_size, octaves),
        jitter_px=_stretched(schedule.jitter_px, octaves),
    )


def taper(schedule: Schedule, _height: int, _width: int, *, step_size: float, steps: float) -> Schedule:
    """Multiply step size and steps from octave to octave, beginning with the recipe's own on the smallest."""
    octaves = range(schedule.octaves)
    sizes, counts = _each(schedule.step_size, schedule.octaves), _each(schedule.steps, schedule.octaves)
    return replace(
        schedule,
        step_size=tuple(_held("step_size", sizes[octave] * step_size**octave) for octave in octaves),
        steps=tuple(round(_held("steps", counts[octave] * steps**octave)) for octave in octaves),
    )


def budget(
    schedule: Schedule, height: int, width: int, *, megapixels: float, most: float, keep_strength: bool
) -> Schedule:
    """Scale the steps so that every picture is about as much work as one of ``megapixels`` is with the recipe's.

    Smaller pictures get up to ``most`` times the steps, larger ones fewer, at least one on each octave. With
    ``keep_strength`` fewer steps are longer, and more are shorter, so that all pictures change about as much.
    """
    octaves = range(schedule.octaves)
    factor = min(most, megapixels * 1e6 / (height * width))
    before = _each(schedule.steps, schedule.octaves)
    steps = tuple(round(_held("steps", before[octave] * factor)) for octave in octaves)
    if not keep_strength:
        return replace(schedule, steps=steps)
    sizes = _each(schedule.step_size, schedule.octaves)
    longer = tuple(_held("step_size", sizes[octave] * before[octave] / steps[octave]) for octave in octaves)
    return replace(schedule, steps=steps, step_size=longer)


def _each(values: Number | tuple[Number, ...], octaves: int) -> tuple[Number, ...]:
    return values if isinstance(values, tuple) else (values,) * octaves


def _stretched(values: Number | tuple[Number, ...], octaves: int) -> Number | tuple[Number, ...]:
    if not isinstance(values, tuple):
        return values
    last = len(values) - 1
    return tuple(values[round(last * octave / max(1, octaves - 1))] for octave in range(octaves))


def _held(key: str, value: float) -> float:
    """Return ``value`` within the bounds that the recipe's key has."""
    least, most = _BOUNDS[key]
    return min(max(value, least), most)


def _factor(name: str, default: float, text: str) -> Option:
    return Option(name=name, type=float, default=default, minimum=0.1, maximum=10, help=text)


@hookimpl
def deepdream_schedules() -> Iterator[ScheduleSpec]:
    """One that changes nothing, and some that depend on the picture or the octave."""
    yield ScheduleSpec(name="pyramid", help="octaves and steps as the recipe says, on any picture", arrange=pyramid)
    yield ScheduleSpec(
        name="fit",
        help="as many octaves as a picture's size takes, so that all have patterns from the same size on",
        arrange=fit,
        options=(
            Option(
                name="smallest_px",
                type=int,
                default=192,
                minimum=16,
                maximum=4096,
                help="about how long the shorter side is on the smallest octave",
            ),
        ),
    )
    yield ScheduleSpec(
        name="taper",
        help="other steps from octave to octave: coarse patterns boldly, fine ones gently",
        arrange=taper,
        options=(
            _factor("step_size", 0.8, "times the step size of the next smaller octave"),
            _factor("steps", 1.0, "times the steps of the next smaller octave"),
        ),
    )
    yield ScheduleSpec(
        name="budget",
        help="about the same work for every picture: the steps follow from its size",
        arrange=budget,
        options=(
            Option(
                name="megapixels",
                type=float,
                default=1.0,
                minimum=0.01,
                maximum=1000,
                help="size of the picture for which the recipe's steps hold",
            ),
            Option(
                name="most",
                type=float,
                default=2.0,
                minimum=1,
                maximum=100,
                help="times the recipe's steps that a small picture may get",
            ),
            Option(
                name="keep_strength",
                type=bool,
                default=True,
                help="whether the step size makes up for it, so that all pictures change about as much",
            ),
        ),
    )

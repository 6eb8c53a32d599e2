"""Checks of schedules: for pictures of all sizes a schedule that a recipe could say."""

from __future__ import annotations

from deepdream_engine.errors import DeepDreamError
from deepdream_engine.records import Schedule
from deepdream_plugins.records import ScheduleSpec
from deepdream_plugins.resolving.arranging import arranged
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.testing.failing import Broken
from deepdream_plugins.testing.options import filled

_SIZES = ((1, 1), (32, 32), (480, 640), (3000, 40), (4000, 6000), (20_000, 20_000))
_SCHEDULES = (
    Schedule(),
    Schedule(octaves=1, steps=1, jitter_px=0),
    Schedule(octaves=3, steps=(2, 4, 8), step_size=(1.0, 1.5, 2.0), jitter_px=(4, 8, 16)),
    Schedule(octaves=20, octave_scale=1.1, octaves_above=3, repeats=2),
)


def check_schedule(spec: ScheduleSpec, /, **options: object) -> None:
    """Check that it arranges schedules of one octave and of many, with one value for all octaves and with one for each,
    for pictures from one pixel to 400 megapixels, within the bounds of a recipe's keys, always in the same way.

    Raises ``AssertionError`` with what to mend; a wrong option is a ``BadOption``.
    """
    configured = Configured(spec=spec, owner="tested", options=filled(spec, "schedule", options))
    of = f"the schedule {spec.name!r}"
    for given in _SCHEDULES:
        for height, width in _SIZES:
            try:
                first, second = (arranged(configured, given, height, width) for _ in range(2))
            except DeepDreamError as error:
                raise Broken(
                    f"{error} The picture had {width} × {height} pixels, and the recipe said {given}. Change it with "
                    f"dataclasses.replace(schedule, ...), and remember that steps, step_size and jitter_px may be "
                    f"tuples, with one value for each octave."
                ) from error
            if first != second:
                raise Broken(f"{of} arranges the same picture in two ways; it must not draw random numbers.")
            if not (first.octaves_above < first.octaves):
                raise Broken(
                    f"{of} puts {first.octaves_above} of {first.octaves} octaves above the picture's size; leave one "
                    f"for the picture itself."
                )

"""The schedule of one picture: what the recipe's keys say, arranged by a schedule plugin, and checked."""

from __future__ import annotations

import traceback
from typing import Any

from deepdream_engine.errors import DeepDreamError, EngineFault
from deepdream_engine.records import Schedule
from deepdream_plugins.configured import Configured
from deepdream_plugins.keys import FIELDS, PER_OCTAVE, SCHEDULE
from deepdream_plugins.options import coerce
from deepdream_plugins.records import ScheduleSpec


def arranged(configured: Configured[ScheduleSpec], schedule: Schedule, height: int, width: int) -> Schedule:
    """Return the schedule of a picture of ``height`` × ``width`` pixels; raises ``EngineFault`` if the plugin fails or
    gives something that no recipe could say."""
    names = f"the schedule {configured.spec.name!r} of the plugin {configured.owner!r}"
    try:
        result: Any = configured.spec.arrange(schedule, height, width, **configured.options)
    except DeepDreamError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise EngineFault(
            f"{names} failed at {frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, Schedule):
        raise EngineFault(f"{names} returned {type(result).__name__}, not a Schedule.")
    if result is not schedule:
        _check(result, names)
    return result


def _check(schedule: Schedule, names: str) -> None:
    """Hold a schedule to the bounds that the recipe's keys have."""
    octaves = schedule.octaves
    for option in SCHEDULE:
        field = FIELDS.get(option.name, option.name)
        value = getattr(schedule, field)
        values = value if isinstance(value, tuple) and option.name in PER_OCTAVE else (value,)
        if isinstance(value, tuple) and len(values) != octaves:
            raise EngineFault(f"{names}: {field} has {len(values)} values for {octaves} octaves.")
        for each in values:
            try:
                coerce(option, each, lambda *_, field=field: field)
            except DeepDreamError as error:
                raise EngineFault(f"{names}: {error}") from None

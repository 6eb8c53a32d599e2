"""The schedule of one picture: what the recipe's keys say, arranged by a schedule plugin, and checked."""

from __future__ import annotations

from functools import partial
from typing import Any

from deepdream_engine.errors import DeepDreamError
from deepdream_engine.records import Schedule
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.options import coerce
from deepdream_plugins.records import ScheduleSpec
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.keys import FIELDS, PER_OCTAVE, SCHEDULE


def arranged(configured: Configured[ScheduleSpec], schedule: Schedule, height: int, width: int) -> Schedule:
    """Return the schedule of a picture of ``height`` × ``width`` pixels; raises ``PluginFailure`` if the plugin fails
    or gives something that no recipe could say.
    """
    guard = configured.guard("schedule")
    arrange = partial(configured.spec.arrange, **configured.options)
    result: Any = guard.call(arrange, schedule, height, width)
    if not isinstance(result, Schedule):
        raise guard.failure(f"returned {type(result).__name__}, not a Schedule.")
    if result is not schedule:
        _check(result, guard)
    return result


def _check(schedule: Schedule, guard: Guard) -> None:
    """Hold a schedule to the bounds that the recipe's keys have."""
    octaves = schedule.octaves
    for option in SCHEDULE:
        field = FIELDS.get(option.name, option.name)
        value = getattr(schedule, field)
        values = value if isinstance(value, tuple) and option.name in PER_OCTAVE else (value,)
        if isinstance(value, tuple) and len(values) != octaves:
            raise guard.failure(f"returned a schedule in which {field} has {len(values)} values for {octaves} octaves.")
        for each in values:
            try:
                coerce(option, each, lambda *_, field=field: field)
            except DeepDreamError as error:
                raise guard.failure(f"returned a schedule in which {error}") from None

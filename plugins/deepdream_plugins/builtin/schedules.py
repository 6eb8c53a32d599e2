"""Ways to arrange the octaves and steps of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import ScheduleSpec

if TYPE_CHECKING:
    from deepdream_engine.records import Schedule


def pyramid(schedule: Schedule, _height: int, _width: int) -> Schedule:
    """Leave it as the recipe's keys say."""
    return schedule


@hookimpl
def deepdream_schedules() -> Iterator[ScheduleSpec]:
    """One that changes nothing, and some that depend on the picture."""
    yield ScheduleSpec(name="pyramid", help="octaves and steps as the recipe says, on any picture", arrange=pyramid)

"""How long a certain dream will take, from the rate that was measured on another picture, and whether that is true."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from deepdream_engine.benchmark.timing import seconds_of
from deepdream_engine.benchmark.work import pixel_steps
from deepdream_engine.engine import Engine
from deepdream_engine.pyramid import Size
from deepdream_engine.records import DreamJob


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """``predicted`` and ``measured`` are seconds of the whole dream; ``share`` of its work was really done, and its
    time divided by that."""

    size: Size
    predicted: float
    measured: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)


def check_prediction(engine: Engine, dream: DreamJob, rate: float, seconds: float) -> Prediction:
    """Predict the time of ``dream`` from ``rate``, in pixels that go through a step per second, and measure it: with
    all its steps if that is predicted to take less than ``seconds``, else with as many as fit, at least one for each
    octave."""
    work = pixel_steps(dream)
    predicted = work / rate
    tried = _shortened(dream, min(1.0, seconds / predicted))
    engine.runner(dream.program)  # the network is loaded by now, and its layers cut
    took = seconds_of(partial(engine.dream, [tried]), engine.device.torch_device)
    share = pixel_steps(tried) / work
    height, width = dream.pixels.shape[1:]
    return Prediction(size=(height, width), predicted=predicted, measured=took / share, share=share)


def _shortened(dream: DreamJob, share: float) -> DreamJob:
    steps = dream.schedule.steps

    def some(count: int) -> int:
        return min(count, max(1, int(count * share)))

    fewer = tuple(map(some, steps)) if isinstance(steps, tuple) else some(steps)
    repeats = dream.schedule.repeats if share >= 1 else 1
    return replace(dream, schedule=replace(dream.schedule, steps=fewer, repeats=repeats))

"""One picture: the engine's step against the baseline's, in every precision that the device gains from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from deepdream_engine.benchmark.naive import Naive
from deepdream_engine.benchmark.timing import ROUNDS, Run, Spread, Times, interleaved
from deepdream_engine.benchmark.work import SCHEDULE, clouds, job, pixel_steps
from deepdream_engine.engine import Engine
from deepdream_engine.pyramid import Size, octaves_of
from deepdream_engine.records import Network, Schedule

NAIVE = "naive"


@dataclass(frozen=True, kw_only=True)
class Single:
    """``times`` of whole dreams of ``pixel_steps``, by ``naive`` and by precision; ``fell_back`` are the precisions
    that the network turned out not to stand, and which were therefore not measured."""

    network: str
    tap: str
    size: Size
    steps: int
    pixel_steps: int
    times: Mapping[str, Times]
    fell_back: tuple[str, ...]

    def speedup(self, name: str) -> Spread:
        """How many times quicker than the baseline, by the clock on the wall."""
        return self.times[NAIVE].wall.over(self.times[name].wall)

    def cpu_speedup(self, name: str) -> Spread:
        """The same by the time of all the process's threads."""
        return self.times[NAIVE].cpu.over(self.times[name].cpu)

    def rate(self, name: str) -> Spread:
        """Pixels that go through a step per second."""
        return self.times[name].wall.per(self.pixel_steps)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "network": self.network,
            "tap": self.tap,
            "width": self.size[1],
            "height": self.size[0],
            "steps": self.steps,
            "pixel_steps": self.pixel_steps,
            "fell_back": self.fell_back,
            "runs": {
                name: {
                    **times.to_dict(),
                    "step_seconds": times.wall.median / self.steps,
                    "pixel_steps_per_second": self.rate(name).to_dict(),
                    "speedup": self.speedup(name).to_dict(),
                    "cpu_speedup": self.cpu_speedup(name).to_dict(),
                }
                for name, times in self.times.items()
            },
        }


def measure_single(
    engine: Engine,
    network: Network,
    tap: str,
    *,
    size: Size = (576, 1024),
    precisions: Sequence[str] = ("fp32",),
    schedule: Schedule = SCHEDULE,
    rounds: int = ROUNDS,
    seconds: float = math.inf,
    on_round: Callable[[int], None] = lambda _: None,
) -> Single:
    """Dream one picture of ``size`` by ``network`` at ``tap``, in turns by the baseline and in each of
    ``precisions``."""
    picture = clouds(*size)
    naive = Naive(network, tap, engine.device.torch_device)
    runs: dict[str, Run] = {NAIVE: lambda: naive.dream(picture, schedule)}
    fell_back = []
    for precision in precisions:
        dream = job(picture, network, tap, precision=precision, schedule=schedule)
        if engine.runner(dream.program).precision == precision:
            runs[precision] = partial(engine.dream, [dream])
        else:
            fell_back.append(precision)
    octaves = octaves_of(size, schedule, network.min_side_px)
    return Single(
        network=network.name,
        tap=tap,
        size=size,
        steps=sum(octave.steps for octave in octaves),
        pixel_steps=pixel_steps(job(picture, network, tap, schedule=schedule)),
        times=interleaved(runs, device=engine.device.torch_device, rounds=rounds, seconds=seconds, on_round=on_round),
        fell_back=tuple(fell_back),
    )

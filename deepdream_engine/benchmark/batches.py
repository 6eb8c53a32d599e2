"""Many pictures at once: pictures per second by their number and precision, against the baseline and the floor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from deepdream_engine.benchmark.floor import Floor, Rates, count_step, floor_of
from deepdream_engine.benchmark.mixed import stream
from deepdream_engine.benchmark.naive import Naive
from deepdream_engine.benchmark.profiling import Profile, profiled
from deepdream_engine.benchmark.timing import ROUNDS, Run, Spread, Times, interleaved
from deepdream_engine.benchmark.work import GOOGLE, clouds, job
from deepdream_engine.engine import Engine
from deepdream_engine.pyramid import Size, octaves_of
from deepdream_engine.records import DreamJob, Network, Schedule

NAIVE = "naive"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """``batch`` pictures in flight in one precision: pictures per second, over the baseline's, and of the floor's."""

    precision: str
    batch: int
    rate: Spread
    speedup: Spread
    floor_share: float


@dataclass(frozen=True, kw_only=True)
class Batches:
    """One network's table; ``naive`` is the baseline's rate, one picture at a time. ``floors`` are those of one
    picture, by precision."""

    network: str
    tap: str
    size: Size
    naive: Spread
    cells: tuple[Cell, ...]
    floors: Mapping[str, Floor]
    rates: Mapping[str, Rates]
    fell_back: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "network": self.network,
            "tap": self.tap,
            "width": self.size[1],
            "height": self.size[0],
            "naive_pictures_per_second": self.naive.to_dict(),
            "cells": [
                {
                    "precision": cell.precision,
                    "batch": cell.batch,
                    "pictures_per_second": cell.rate.to_dict(),
                    "speedup": cell.speedup.to_dict(),
                    "floor_share": cell.floor_share,
                }
                for cell in self.cells
            ],
            "floors": {name: asdict(floor) for name, floor in self.floors.items()},
            "rates": {name: asdict(rates) for name, rates in self.rates.items()},
            "fell_back": self.fell_back,
        }


def measure_batches(
    make_engine: Callable[[int], Engine],
    network: Network,
    tap: str,
    rates: Mapping[str, Rates],
    *,
    batches: Sequence[int] = (1, 8, 32, 128),
    size: Size = (576, 1024),
    schedule: Schedule = GOOGLE,
    rounds: int = ROUNDS,
    seconds: float = math.inf,
) -> Batches:
    """Dream each of ``batches`` pictures of ``size`` in each precision of ``rates``, in turns with the baseline.

    ``make_engine(batch)`` returns an engine that keeps as many pictures in flight. Pictures wait in memory.
    """
    engines = {batch: make_engine(batch) for batch in batches}
    first = next(iter(engines.values()))
    device = first.device.torch_device
    pictures = [clouds(*size, seed=seed % 8) for seed in range(max(batches))]
    naive = Naive(network, tap, device)
    runs: dict[tuple[str, int], Run] = {(NAIVE, 1): lambda: naive.dream(pictures[0], schedule)}
    fell_back = []
    for precision in rates:
        jobs = [job(picture, network, tap, precision=precision, schedule=schedule) for picture in pictures]
        if first.runner(jobs[0].program).precision != precision:
            fell_back.append(precision)
            continue
        for batch, engine in engines.items():
            runs[precision, batch] = partial(stream, engine, jobs[:batch])
    names = {f"{precision} {batch}": (precision, batch) for precision, batch in runs}
    times = interleaved({name: runs[key] for name, key in names.items()}, device=device, rounds=rounds, seconds=seconds)
    floors = floors_of(network, tap, size, schedule=schedule, rates=rates)
    baseline = times[f"{NAIVE} 1"].wall.per(1)
    cells = [_cell(key, times[name], baseline, floors) for name, key in names.items() if key[0] != NAIVE]
    return Batches(
        network=network.name,
        tap=tap,
        size=size,
        naive=baseline,
        cells=tuple(cells),
        floors=floors,
        rates=rates,
        fell_back=tuple(fell_back),
    )


def _cell(key: tuple[str, int], times: Times, baseline: Spread, floors: Mapping[str, Floor]) -> Cell:
    precision, batch = key
    rate = times.wall.per(batch)
    return Cell(
        precision=precision,
        batch=batch,
        rate=rate,
        speedup=rate.over(baseline),
        floor_share=rate.median * floors[precision].seconds,
    )


def floors_of(
    network: Network, tap: str, size: Size, *, schedule: Schedule, rates: Mapping[str, Rates]
) -> dict[str, Floor]:
    """Return the least time for a whole dream of one picture, by precision."""
    operations = [
        operation
        for octave in octaves_of(size, schedule, network.min_side_px)
        for operation in count_step(network, tap, octave.size) * octave.steps
    ]
    return {precision: floor_of(operations, each, precision) for precision, each in rates.items()}


def profile_batch(
    engine: Engine, network: Network, tap: str, *, batch: int, size: Size, precision: str, schedule: Schedule
) -> Profile:
    """Profile dreams of ``batch`` pictures."""
    jobs: list[DreamJob] = [
        job(clouds(*size, seed=seed), network, tap, precision=precision, schedule=schedule) for seed in range(batch)
    ]
    return profiled(partial(stream, engine, jobs), engine.device.torch_device)

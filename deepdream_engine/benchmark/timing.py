"""Runs that take turns, so that whatever else the machine does meets all of them alike, and what to quote of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

ROUNDS = 7
"""A median of fewer is not quoted without a word about it."""
_LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Spread:
    """Values of several rounds: their median, and the quartiles around it."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the values lie between these."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def per(self, amount: float) -> Spread:
        """Return ``amount`` divided by each value: of seconds it makes a rate."""
        return Spread(tuple(amount / value for value in self.values))

    def scaled(self, factor: float) -> Spread:
        """Return each value times ``factor``."""
        return Spread(tuple(factor * value for value in self.values))

    def over(self, other: Spread) -> Spread:
        """Return this over ``other``, round by round: runs of one round met the same machine."""
        return Spread(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {"median": self.median, "quartiles": self.quartiles, "values": self.values}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds that a run took in each round: by the clock on the wall, and those of all the process's threads."""

    wall: Spread
    cpu: Spread

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {"wall_seconds": self.wall.to_dict(), "cpu_seconds": self.cpu.to_dict()}


Run = Callable[[], object]


def interleaved(
    runs: Mapping[str, Run],
    *,
    device: torch.device,
    rounds: int = ROUNDS,
    seconds: float = math.inf,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Times]:
    """Time ``runs`` in turns, A B C A B C …, for ``rounds`` rounds, after one of each that does not count.

    There are fewer rounds, but at least 3, if they would take longer than ``seconds``, the first one included. A run
    ends when the device has done all that it was given. ``on_round`` hears of each round that is done.
    """
    since = time.perf_counter()
    for run in runs.values():
        _timed(run, device)
    on_round(0)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for index in range(rounds):
        passed = time.perf_counter() - since
        if index >= _LEAST_ROUNDS and passed * (index + 2) / (index + 1) > seconds:
            break
        for name, run in runs.items():
            measured[name].append(_timed(run, device))
        on_round(index + 1)
    return {name: _times(values) for name, values in measured.items()}


def seconds_of(run: Run, device: torch.device) -> float:
    """Return how long ``run`` takes once, by the clock on the wall."""
    return _timed(run, device)[0]


def _times(values: Sequence[tuple[float, float]]) -> Times:
    wall, cpu = zip(*values, strict=True)
    return Times(wall=Spread(wall), cpu=Spread(cpu))


def _timed(run: Run, device: torch.device) -> tuple[float, float]:
    synchronise(device)
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    synchronise(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def synchronise(device: torch.device) -> None:
    """Wait until ``device`` has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

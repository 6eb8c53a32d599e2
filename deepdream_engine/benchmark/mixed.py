"""A folder of photos of many sizes and both orientations against as many equal ones with as many pixels in all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from deepdream_engine.benchmark.timing import ROUNDS, Spread, Times, interleaved
from deepdream_engine.benchmark.work import GOOGLE, clouds, job, pixel_steps
from deepdream_engine.engine import Engine
from deepdream_engine.pyramid import Size
from deepdream_engine.records import DreamJob, Failure, Network, Schedule

_SHAPES = (1.0, 4 / 3, 3 / 2, 16 / 9, 2.0, 0.75, 2 / 3, 9 / 16)
_AREAS = (0.5, 1.0, 1.5)
_CUT_PX = 8


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """``mixed`` and ``equal`` are the times of whole folders; both rates are pixels that go through a step per
    second."""

    pictures: int
    sizes: int
    equal_size: Size
    precision: str
    mixed: Times
    equal: Times
    mixed_rate: Spread
    equal_rate: Spread

    @property
    def share(self) -> Spread:
        """What of the rate with equal sizes is reached with mixed ones."""
        return self.mixed_rate.over(self.equal_rate)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "pictures": self.pictures,
            "sizes": self.sizes,
            "equal_width": self.equal_size[1],
            "equal_height": self.equal_size[0],
            "precision": self.precision,
            "mixed": self.mixed.to_dict(),
            "equal": self.equal.to_dict(),
            "mixed_pixel_steps_per_second": self.mixed_rate.to_dict(),
            "equal_pixel_steps_per_second": self.equal_rate.to_dict(),
            "share": self.share.to_dict(),
        }


def mixed_sizes(count: int, pixels: int) -> list[Size]:
    """Return ``count`` sizes of ``pixels`` on average: 24 different ones if there are so many, in an order in which
    neighbours differ."""
    kinds = [(shape, area) for area in _AREAS for shape in _SHAPES]
    # A stride without a common divisor goes through all of them.
    chosen = [kinds[index * 13 % len(kinds)] for index in range(count)]
    scale = count / sum(area for _, area in chosen)
    return [
        (round((pixels * scale * area / shape) ** 0.5), round((pixels * scale * area * shape) ** 0.5))
        for shape, area in chosen
    ]


def measure_mixed(
    engine: Engine,
    network: Network,
    tap: str,
    *,
    count: int = 64,
    pixels: int = 384 * 288,
    precision: str = "fp32",
    schedule: Schedule = GOOGLE,
    rounds: int = ROUNDS,
    seconds: float = math.inf,
    on_round: Callable[[int], None] = lambda _: None,
) -> Mixed:
    """Dream two folders of ``count`` pictures of ``pixels`` each on average in turns, each fed to the engine picture by
    picture as the daemon does."""
    sizes = mixed_sizes(count, pixels)
    height = round((pixels * 3 / 4) ** 0.5)
    equal_size = (height, round(pixels / height))
    make = partial(job, network=network, tap=tap, precision=precision, schedule=schedule)
    mixed, equal = _Folder(sizes, make), _Folder([equal_size] * count, make)
    times = interleaved(
        {"mixed": lambda: mixed.dream(engine), "equal": lambda: equal.dream(engine)},
        device=engine.device.torch_device,
        rounds=rounds,
        seconds=seconds,
        on_round=on_round,
    )
    return Mixed(
        pictures=count,
        sizes=len(set(sizes)),
        equal_size=equal_size,
        precision=precision,
        mixed=times["mixed"],
        equal=times["equal"],
        mixed_rate=mixed.rate(times["mixed"]),
        equal_rate=equal.rate(times["equal"]),
    )


class _Folder:
    """Pictures that are a little smaller each time that they are dreamt: the daemon meets every folder's sizes for the
    first time, and some libraries prepare themselves for each size."""

    def __init__(self, sizes: Sequence[Size], make: Callable[[Tensor], DreamJob]) -> None:
        self._pictures = [clouds(height + _CUT_PX, width + _CUT_PX, seed) for seed, (height, width) in enumerate(sizes)]
        self._make = make
        self._work: list[int] = []

    def dream(self, engine: Engine) -> None:
        cut = len(self._work) % (2 * _CUT_PX)
        jobs = [self._make(picture[:, cut:, cut:].contiguous()) for picture in self._pictures]
        self._work.append(sum(map(pixel_steps, jobs)))
        stream(engine, jobs)

    def rate(self, times: Times) -> Spread:
        """Return the pixels per second of the rounds that counted, which were the last."""
        seconds = times.wall.values
        work = self._work[-len(seconds) :]
        return Spread(tuple(pixels / took for pixels, took in zip(work, seconds, strict=True)))


def stream(engine: Engine, jobs: Sequence[DreamJob]) -> int:
    """Dream ``jobs`` as the daemon does; return how many there were. Raises the first failure."""
    done = 0
    for _, outcome in engine.stream(iter(jobs)):
        if isinstance(outcome, Failure):
            raise outcome.error
        done += 1
    return done

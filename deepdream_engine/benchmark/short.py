"""The short suite: what ``deepdream bench`` measures in about a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from deepdream_engine.benchmark.machine import Machine, describe
from deepdream_engine.benchmark.mixed import Mixed, measure_mixed
from deepdream_engine.benchmark.prediction import Prediction, check_prediction
from deepdream_engine.benchmark.single import Single, measure_single
from deepdream_engine.engine import Engine
from deepdream_engine.records import DreamJob, Schedule

SIZE = (288, 512)
FOLDER_PIXELS = 256 * 192
_ROUNDS = 15
_FOLDER_STEPS = 10
FOLDER = Schedule(octaves=2, octave_scale=1.4, steps=_FOLDER_STEPS, step_size=1.5, jitter_px=32)
_FOLDER_RUNS = 8
_SINGLE_SHARE, _MIXED_SHARE = 0.4, 0.35

Stage = Callable[[str], AbstractContextManager[Callable[[float], None]]]
"""``with stage(name) as update``: announces a part of the suite; ``update(fraction)`` hears how far it is."""


@dataclass(frozen=True, kw_only=True)
class Short:
    """What was measured, and on what."""

    machine: Machine
    single: Single
    mixed: Mixed
    dream: Prediction

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "machine": asdict(self.machine),
            "single": self.single.to_dict(),
            "mixed": self.mixed.to_dict(),
            "dream": self.dream.to_dict(),
        }


def measure_short(engine: Engine, dream: DreamJob, *, seconds: float, stage: Stage) -> Short:
    """Measure ``engine`` with the network and first tap of ``dream``, and ``dream`` itself, in about ``seconds``."""
    until = time.perf_counter() + seconds
    machine = describe(engine.device)
    network, tap = dream.program.network, dream.program.objective.taps[0]
    with stage("one picture, in turns with the baseline") as update:
        single = measure_single(
            engine,
            network,
            tap,
            size=SIZE,
            precisions=machine.precisions,
            rounds=_ROUNDS,
            seconds=_SINGLE_SHARE * seconds,
            on_round=_paced(update, _SINGLE_SHARE * seconds),
        )
    precision = dream.program.precision if dream.program.precision in single.times else "fp32"
    most = 8 if engine.memory.pictures == 1 else 64
    with stage("folders of mixed and of equal sizes") as update:
        mixed = measure_mixed(
            engine,
            network,
            tap,
            count=_folder_of(most, single.rate(precision).median, _MIXED_SHARE * seconds),
            pixels=FOLDER_PIXELS,
            precision=precision,
            schedule=FOLDER,
            rounds=_ROUNDS,
            seconds=_MIXED_SHARE * seconds,
            on_round=_paced(update, _MIXED_SHARE * seconds),
        )
    with stage("the dream itself"):
        rate = single.rate(precision).median
        prediction = check_prediction(engine, dream, rate, until - time.perf_counter())
    return Short(machine=machine, single=single, mixed=mixed, dream=prediction)


def _paced(update: Callable[[float], None], seconds: float) -> Callable[[int], None]:
    """Tell ``update`` after each round how much of ``seconds`` has passed."""
    since = time.perf_counter()
    return lambda _done: update(min(1.0, (time.perf_counter() - since) / seconds))


def _folder_of(most: int, rate: float, seconds: float) -> int:
    """Return how many pictures, at most ``most``, fit ``seconds`` in all the runs of both folders; at least half.

    Steps are not spared: what a library prepares for a new size is paid for once for all steps, so that few of them
    would make mixed sizes look worse than they are.
    """
    picture = (
        FOLDER_PIXELS * _FOLDER_STEPS * sum(FOLDER.octave_scale ** (-2 * octave) for octave in range(FOLDER.octaves))
    )
    return max(most // 2, min(most, int(seconds * rate / (_FOLDER_RUNS * picture))))

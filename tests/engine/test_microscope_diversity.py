"""Pictures of one thing that are to differ: each is unlike those before it, and none sees its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from deepdream_engine import DreamJob, Engine, Objective, Program, Schedule
from deepdream_engine.microscope.diversity import BEFORE, unlike
from deepdream_engine.microscope.eyes import Eyes
from tests.engine.conftest import TINY


def score(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
    channel = options["channel"]
    assert isinstance(channel, Tensor)
    return activations["conv2"].mean((2, 3)).gather(1, channel.long()[:, None])[:, 0]


PLAIN = Objective(key="one channel", taps=("conv2",), score=score)


def job(objective: Objective, seed: int, guides: Mapping[str, Tensor] | None = None) -> DreamJob:
    pixels = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(seed))
    return DreamJob(
        pixels=pixels * 0.1 + 0.45,
        program=Program(network=TINY, objective=objective, precision="fp64"),
        schedule=Schedule(octaves=1, steps=12, step_size=4, jitter_px=4),
        seed=seed,
        options={"channel": 3},
        guides=guides or {},
    )


def likeness(one: Tensor, other: Tensor) -> float:
    (looked,) = Eyes(Engine(device="cpu"), TINY, ("relu1",)).see(torch.stack([one, other]))
    seen = looked["relu1"].flatten(2)
    seen = seen - seen.mean(2, keepdim=True)
    gram = torch.nn.functional.normalize((seen @ seen.transpose(1, 2)).flatten(1), dim=1)
    return float((gram[0] * gram[1]).sum())


def test_without_others_before_it_nothing_changes() -> None:
    engine = Engine(device="cpu")
    plain, first = engine.dream([job(PLAIN, 1), job(unlike(PLAIN, "relu1"), 1)])
    assert (plain.pixels - first.pixels).abs().max() < 0.5 / 255


def test_a_picture_is_unlike_those_before_it_and_still_of_the_same_thing() -> None:
    engine = Engine(device="cpu")
    (first,) = engine.dream([job(PLAIN, 1)])
    (same,) = engine.dream([job(PLAIN, 2)])
    (other,) = engine.dream([job(unlike(PLAIN, "relu1"), 2, {f"{BEFORE} 0": first.pixels})])
    assert likeness(first.pixels, other.pixels) < likeness(first.pixels, same.pixels) - 0.05
    eyes = Eyes(engine, TINY, ("conv2",))
    before, after = eyes.means(torch.stack([job(PLAIN, 2).pixels, other.pixels]))["conv2"][:, 3]
    assert after > before


def test_alone_equals_among_others() -> None:
    engine = Engine(device="cpu")
    earlier = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(9))
    jobs = [job(unlike(PLAIN, "relu1"), seed, {f"{BEFORE} 0": earlier}) for seed in (3, 4)]
    jobs.append(replace(jobs[0], guides={}))
    together = engine.dream(jobs)
    for each, dream in zip(jobs, together, strict=True):
        assert (engine.dream([each])[0].pixels - dream.pixels).abs().max() < 1 / 255

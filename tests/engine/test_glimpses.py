"""Watching a dream: what is seen of it after each step, and that it is the same whether anybody looks or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from deepdream_engine import Engine
from deepdream_engine.dreaming import Way
from deepdream_engine.records import DreamJob, Glimpse

from .conftest import job


class Watching:
    """Remembers what was seen."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int]] = []
        self.pictures: list[Tensor] = []

    def __call__(self, glimpse: Glimpse) -> None:
        self.steps.append((glimpse.number, glimpse.step.octave, glimpse.step.index))
        self.pictures.append(glimpse.picture())


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with a margin": {"margin_px": 7},
    "larger octaves": {"octaves_above": 1},
    "the picture is carried": {"carry": "picture", "carry_blend": 0.2},
    "again and again": {"repeats": 2},
    "colours are held": {"lock": "mean+contrast"},
}


def watched(plain: DreamJob, *, masked: bool = False) -> tuple[DreamJob, Watching]:
    watching = Watching()
    mask = torch.zeros(1, *plain.pixels.shape[1:])
    mask[:, :, 20:] = 1
    return replace(plain, watch=watching, mask=mask if masked else None), watching


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("way", list(WAYS))
def test_each_step_is_seen_as_large_as_the_dream_and_the_last_is_the_dream(
    engine: Engine, clouds: Callable[..., Tensor], way: str, masked: bool
) -> None:
    picture = clouds(48, 62)
    looked_at, watching = watched(job(picture, octaves=3, octave_scale=1.3, steps=2, **WAYS[way]), masked=masked)
    seen, unseen = engine.dream([looked_at, replace(looked_at, watch=None)])
    assert torch.equal(seen.pixels, unseen.pixels)
    numbers = [number for number, _, _ in watching.steps]
    assert numbers == list(range(1, Way(looked_at, torch.float32).steps + 1))
    assert {shown.shape for shown in watching.pictures} == {picture.shape}
    assert all(shown.min() >= 0 and shown.max() <= 1 for shown in watching.pictures)
    apart = (watching.pictures[-1] - seen.pixels).abs()
    # A larger octave is shrunk with its mask, and seen without: that shows along the border of the mask alone.
    assert apart.mean() < 1e-3 if masked and way == "larger octaves" else apart.max() < 1e-6
    # What came of one step differs from what came before, but never jumps: an octave goes on where the last one ended.
    changes = [
        (now - before).abs().mean() for before, now in zip(watching.pictures, watching.pictures[1:], strict=False)
    ]
    assert min(changes) > 0
    assert max(changes) < 12 / 255


def test_a_small_octave_is_seen_upon_the_sharp_source(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = clouds(64, 64)
    picture[:, 32:, :] = picture[:, 32:, :].lerp(torch.rand(3, 32, 64), 0.5)
    looked_at, watching = watched(job(picture, octaves=2, octave_scale=2.0, steps=1, step_size=0.5))
    engine.dream([looked_at])
    first = watching.pictures[0]
    assert (first - picture).abs().max() < 6 / 255  # enlarged as a whole, its noise would be gone


def test_a_watcher_that_fails_costs_its_own_job_alone(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    def fail(_: Glimpse) -> None:
        raise OSError("the disk is full")

    plain = job(clouds(40, 40), steps=2)
    outcomes = dict(engine.stream([replace(plain, watch=fail), plain]))
    assert "the disk is full" in str(outcomes[0].error)  # type: ignore[union-attr]
    assert torch.equal(outcomes[1].pixels, engine.dream([plain])[0].pixels)  # type: ignore[union-attr]

"""Dreams of dreams: over hundreds of rounds, brightness and contrast stay where a lock holds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepdream_engine import Engine

from .conftest import DREAMNET, job

ROUNDS = 200


def rounds(engine: Engine, picture: Tensor, lock: str) -> Tensor:
    feedback = job(
        picture, network=DREAMNET, tap="mixed3b", octaves=1, steps=1, step_size=2.0, repeats=ROUNDS, lock=lock
    )
    (dream,) = engine.dream([feedback])
    return dream.pixels


def drift(picture: Tensor, dream: Tensor) -> float:
    """Largest change of a channel's mean, in levels."""
    return ((dream - picture).mean(dim=(1, 2)).abs().max() * 255).item()


@pytest.mark.parametrize("lock", ["mean", "mean+contrast", "histogram"])
def test_two_hundred_rounds_of_feedback_keep_the_mean_within_a_level(
    engine: Engine, clouds: Callable[..., Tensor], lock: str
) -> None:
    picture = 0.2 + 0.5 * clouds(48, 64)
    dream = rounds(engine, picture, lock)
    assert drift(picture, dream) < 1
    assert (dream - picture).abs().mean() * 255 > 10, "nothing was dreamt"
    if lock != "mean":
        assert torch.allclose(dream.std(dim=(1, 2)), picture.std(dim=(1, 2)), rtol=0.02)


def test_without_a_lock_they_drift(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = 0.2 + 0.5 * clouds(48, 64)
    assert drift(picture, rounds(engine, picture, "none")) > 2

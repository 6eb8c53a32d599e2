"""The built-in objectives score each picture by itself, with a gradient, without waiting for the device."""

from __future__ import annotations

import pytest
import torch

from deepdream_engine.errors import BadOption
from deepdream_plugins import load_catalogue

OBJECTIVES = load_catalogue().objectives
OPTIONS: dict[str, dict[str, torch.Tensor]] = {
    "l2": {},
    "mean": {},
    "channel": {"channel": torch.tensor([0, 4, 2])},
}


def seen() -> torch.Tensor:
    return torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", OPTIONS)
def test_following_the_gradient_raises_every_score(name: str) -> None:
    score = OBJECTIVES[name].spec.score
    activations = seen().requires_grad_()
    before = score({"tap": activations}, layer="tap", **OPTIONS[name])
    assert before.shape == (3,)
    (gradient,) = torch.autograd.grad(before.sum(), activations)
    after = score({"tap": activations + 0.01 * gradient}, layer="tap", **OPTIONS[name])
    assert (after > before).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_alone_equals_among_others(name: str) -> None:
    score = OBJECTIVES[name].spec.score
    together = score({"tap": seen()}, layer="tap", **OPTIONS[name])
    for index in range(3):
        options = {key: value[index : index + 1] for key, value in OPTIONS[name].items()}
        alone = score({"tap": seen()[index : index + 1]}, layer="tap", **options)
        torch.testing.assert_close(alone[0], together[index], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_scoring_reads_no_value_from_the_device(name: str) -> None:
    on_meta = {key: value.to("meta") for key, value in OPTIONS[name].items()}  # has shapes but no values
    scores = OBJECTIVES[name].spec.score({"tap": seen().to("meta")}, layer="tap", **on_meta)
    assert scores.shape == (3,)


def test_l2_is_half_the_sum_of_squares() -> None:
    activations = seen().requires_grad_()
    (gradient,) = torch.autograd.grad(OBJECTIVES["l2"].spec.score({"t": activations}, layer="t").sum(), activations)
    torch.testing.assert_close(gradient, activations.detach())


def test_a_channel_that_the_layer_has_not_is_refused_beforehand() -> None:
    check = OBJECTIVES["channel"].spec.check
    assert check is not None
    check({"tap": (1, 5, 4, 6)}, layer="tap", channel=4)
    with pytest.raises(BadOption, match="channel 5: the layer 'tap' has 5; choose one from 0 to 4"):
        check({"tap": (1, 5, 4, 6)}, layer="tap", channel=5)

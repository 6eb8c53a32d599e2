"""The built-in objectives against straight-line versions of what was published, or of what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from deepdream_engine.activations import Activations
from tests.seeing import SPECS, given, gradient_of, look_at, normal, prepared, scored


def test_the_gradient_of_l2_is_the_activations_as_in_googles_notebook() -> None:
    seen = normal(2, 4, 5, 6)
    torch.testing.assert_close(gradient_of(lambda x: scored("l2", x), seen), seen)


def test_mean_square_is_the_loss_of_keras_example() -> None:
    seen = normal(1, 4, 7, 9)
    activation = seen.permute(0, 2, 3, 1).numpy()  # Keras keeps channels last
    loss = np.sum(np.square(activation[:, 2:-2, 2:-2, :])) / np.prod(activation.shape)
    assert scored("mean_square", seen, border=2).item() == pytest.approx(loss)
    assert scored("mean_square", seen, border=0).item() == pytest.approx(np.mean(np.square(activation)))


def test_mean_square_of_a_small_octave_is_0_where_the_border_is_all_there_is() -> None:
    seen = normal(2, 4, 4, 9)
    assert scored("mean_square", seen, border=2).tolist() == [0, 0]
    assert scored("mean_square", seen, border=5).tolist() == [0, 0]


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_direction_is_lucids(power: float) -> None:
    seen, vector = normal(1, 4, 5, 3), [3.0, 0.0, -4.0, 0.0]
    x, y = seen[0].permute(1, 2, 0).numpy(), np.array(vector) / 5
    dot = (x * y).sum(-1)
    cosine = dot / np.sqrt((x * x).sum(-1)) / np.sqrt((y * y).sum(-1))
    expected = (dot * np.maximum(0.1, cosine) ** power).mean()
    options = prepared("direction", look_at(seen), vector=vector) | {"cosine_power": torch.tensor([power])}
    assert scored("direction", seen, **options).item() == pytest.approx(expected)


def test_direction_has_a_gradient_where_nothing_is_active() -> None:
    seen = torch.zeros(1, 4, 5, 3)
    options = prepared("direction", look_at(seen), vector=[1.0, 0, 0, 0]) | {"cosine_power": torch.tensor([2.0])}
    gradient = gradient_of(lambda x: scored("direction", x, **options), seen)
    assert gradient.isfinite().all()
    assert (gradient[:, 0] > 0).all()


def test_class_probability_is_the_probability_with_the_gradient_of_its_logarithm() -> None:
    logits, label = torch.tensor([[0.0, 80.0, 3.0], [1.0, 2.0, 3.0]]), torch.tensor([0, 2])
    score = scored("class_probability", logits, label=label)
    torch.testing.assert_close(score, logits.softmax(1)[[0, 1], [0, 2]])
    gradient = gradient_of(lambda x: scored("class_probability", x, label=label), logits)
    torch.testing.assert_close(gradient, torch.eye(3)[[0, 2]] - logits.softmax(1))  # not 0, improbable as class 0 is


def mean_of(seen: Tensor, chosen: list[int]) -> float:
    return seen[0, chosen].mean().item()


def test_channels_score_the_mean_of_the_list_each_once() -> None:
    seen = normal(1, 8, 4, 4)
    options = prepared("channels", look_at(seen), channels=(6, 1, 6))
    assert scored("channels", seen, channels=(6, 1, 6), **options).item() == pytest.approx(mean_of(seen, [1, 6]))


def test_channel_range_includes_both_ends() -> None:
    seen = normal(1, 8, 4, 4)
    options = prepared("channel_range", look_at(seen), first=2, last=4)
    assert scored("channel_range", seen, **options).item() == pytest.approx(mean_of(seen, [2, 3, 4]))


def chosen(name: str, seen: Tensor, k: int, seed: int = 0) -> set[int]:
    weights = prepared(name, look_at(seen, seed=seed), k=k)["weights"][0]
    assert weights.sum().item() == pytest.approx(1)
    return set(weights.nonzero().flatten().tolist())


def test_strongest_and_weakest_go_by_the_means_on_the_picture() -> None:
    seen = normal(1, 5, 4, 4) * 0.01 + torch.tensor([3.0, 9.0, -1.0, 5.0, 0.5])[None, :, None, None]
    assert chosen("strongest", seen, 2) == {1, 3}
    assert chosen("weakest", seen, 2) == {2, 4}
    assert chosen("strongest", seen, 5) == chosen("weakest", seen, 5) == set(range(5))


@pytest.mark.parametrize("name", ["strongest", "weakest", "random"])
def test_dead_channels_are_chosen_only_when_no_others_are_left(name: str) -> None:
    seen = normal(1, 6, 4, 4).abs()
    seen[:, [0, 3, 4]] = 0
    if name == "strongest":
        seen = -seen
    assert chosen(name, seen, 3) == {1, 2, 5}
    assert {1, 2, 5} < chosen(name, seen, 4)


def test_random_channels_depend_on_the_seed_alone() -> None:
    draws = [chosen("random", normal(1, 40, 4, 4, seed=n), 5, seed=n % 2) for n in range(4)]
    assert draws[0] == draws[2] != draws[1] == draws[3]
    assert all(len(draw) == 5 for draw in draws)


def test_tv_sums_the_lengths_of_the_pictures_gradient() -> None:
    pixels = normal(1, 3, 5, 6)
    x, length = pixels[0].numpy(), 0.0
    for channel in range(3):
        for row in range(4):
            for column in range(5):
                down = x[channel, row + 1, column] - x[channel, row, column]
                right = x[channel, row, column + 1] - x[channel, row, column]
                length += math.hypot(down, right, 1 / 255) - 1 / 255
    assert SPECS["tv"].score(given(pixels)).item() == pytest.approx(length)


def test_tv_does_not_join_opposite_borders() -> None:
    halves = torch.cat([torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)], dim=3)  # an edge in the middle …
    whole = given(halves)
    shifted = Activations(by_tap={}, pixels=halves, frame=torch.tensor([[[0.0, 8, 0], [8, 16, 0]]]))  # … or none
    assert SPECS["tv"].score(whole).item() > 20
    assert SPECS["tv"].score(shifted).item() == pytest.approx(0, abs=1e-5)


def test_tv_has_a_gradient_of_about_1_on_noise() -> None:
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    gradient = gradient_of(lambda x: SPECS["tv"].score(given(x)), pixels)
    assert 0.5 < gradient.abs().mean() < 2


@pytest.mark.parametrize(("levels", "l2"), [(10, 1.0), (-10, -1.0), (30, 3.0), (-2, -0.2)])
def test_the_pulls_are_equally_strong_at_10_levels_from_the_source(levels: int, l2: float) -> None:
    source = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    seen = Activations(
        by_tap={}, pixels=(source + levels / 255).requires_grad_(), frame=given(source).frame, source=source
    )
    for name, strength in (("pull_l1", math.copysign(1, levels)), ("pull_l2", l2)):
        (gradient,) = torch.autograd.grad(SPECS[name].score(seen).sum(), seen.pixels)
        torch.testing.assert_close(gradient, torch.full_like(gradient, -strength))
        assert SPECS[name].needs_source

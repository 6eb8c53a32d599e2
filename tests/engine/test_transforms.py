"""The transforms move what they say, by random amounts from the job's own generator, and gradients find back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from deepdream_engine import transforms
from deepdream_engine.errors import BadOption

ALL: dict[str, Callable[..., Tensor]] = {
    "pad": partial(transforms.pad, pixels=3),
    "pad grey": partial(transforms.pad, pixels=3, mode="constant"),
    "jitter": partial(transforms.jitter, pixels=3),
    "scale": transforms.scale,
    "rotate": transforms.rotate,
}


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def picture(height: int = 20, width: int = 30, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=generator(seed))


def blob(height: int, width: int, row: float, column: float) -> Tensor:
    """A soft spot, its centre at (row, column)."""
    rows = torch.arange(height)[:, None] - row
    columns = torch.arange(width) - column
    return torch.exp(-(rows.square() + columns.square()) / 8).expand(1, 3, -1, -1)


def spot(view: Tensor) -> tuple[float, float]:
    """Where the soft spot is."""
    weight = view[0, 0] / view[0, 0].sum()
    rows, columns = torch.arange(weight.shape[0]), torch.arange(weight.shape[1])
    return float((weight.sum(1) * rows).sum()), float((weight.sum(0) * columns).sum())


def test_pad_mirrors_or_greys() -> None:
    given = picture()
    mirrored = transforms.pad(given, generator(), pixels=4)
    assert mirrored.shape == (1, 3, 28, 38)
    assert torch.equal(mirrored[:, :, 4:-4, 4:-4], given)
    assert torch.equal(mirrored[:, :, 0, 4:-4], given[:, :, 4])
    grey = transforms.pad(given, generator(), pixels=4, mode="constant")
    assert torch.equal(grey[:, :, 4:-4, 4:-4], given)
    assert (grey[:, :, :4] == 0.5).all()


def test_jitter_cuts_windows_evenly_from_all_places() -> None:
    given, random = picture(), generator()
    places = {}
    for _ in range(400):
        view = transforms.jitter(given, random, pixels=2)
        assert view.shape == (1, 3, 18, 28)
        (place,) = [
            (y, x) for y in range(3) for x in range(3) if torch.equal(view, given[:, :, y : y + 18, x : x + 28])
        ]
        places[place] = places.get(place, 0) + 1
    assert len(places) == 9
    assert min(places.values()) > 20


def test_scale_moves_things_from_the_centre_by_the_amount_at_most_in_both_directions() -> None:
    given, random = blob(61, 81, 30, 60), generator()  # 20 pixels to the right of the centre
    factors = []
    for _ in range(60):
        row, column = spot(transforms.scale(given, random, amount=0.2))
        assert row == pytest.approx(30, abs=0.1)
        factors.append((column - 40) / 20)
    assert 0.79 < min(factors) < 0.85
    assert 1.15 < max(factors) < 1.21


def test_rotate_turns_things_around_the_centre_without_distorting_them() -> None:
    given, random = blob(61, 81, 30, 60), generator()
    angles = []
    for _ in range(60):
        row, column = spot(transforms.rotate(given, random, degrees=10))
        assert ((row - 30) ** 2 + (column - 40) ** 2) ** 0.5 == pytest.approx(20, abs=0.1)
        angles.append(torch.rad2deg(torch.atan2(torch.tensor(row - 30), torch.tensor(column - 40))).item())
    assert -10.1 < min(angles) < -8
    assert 8 < max(angles) < 10.1


@pytest.mark.parametrize("name", ["scale", "rotate"])
def test_what_lies_beyond_the_border_is_mirrored_not_black(name: str) -> None:
    bright = torch.full((1, 3, 20, 30), 0.7)
    random = generator()
    for _ in range(10):
        torch.testing.assert_close(ALL[name](bright, random), bright)


@pytest.mark.parametrize("name", ALL)
def test_one_seed_gives_one_view_whatever_the_global_generator_does(name: str) -> None:
    given = picture()
    first = ALL[name](given, generator(5))
    state = torch.get_rng_state()
    again = ALL[name](given, generator(5))
    assert torch.equal(first, again)
    assert torch.equal(state, torch.get_rng_state())
    if not name.startswith("pad"):
        assert not torch.equal(first, ALL[name](given, generator(6)))


@given(height=st.integers(4, 24), width=st.integers(4, 24), name=st.sampled_from(sorted(ALL)), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_views_size_depends_on_the_pictures_alone_and_its_values_stay_in_range(
    height: int, width: int, name: str, seed: int
) -> None:
    view = ALL[name](picture(height, width), generator(seed))
    assert view.shape == ALL[name](picture(height, width, 1), generator(seed + 1)).shape
    assert view.min() >= -1e-6
    assert view.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", ALL)
def test_gradients_find_back_to_the_pixels(name: str) -> None:
    given = picture(6, 7).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ALL[name](x, generator(3)), given)


@pytest.mark.parametrize("name", ["scale", "rotate"])
def test_a_single_pixel_stays_what_it_is(name: str) -> None:
    given = picture(1, 1)
    torch.testing.assert_close(ALL[name](given, generator()), given)


def test_a_picture_too_small_for_the_options_is_refused_by_the_options_name() -> None:
    with pytest.raises(BadOption, match=r"pixels 12: a view of 30 × 12 pixels can be mirrored by at most 11"):
        transforms.pad(picture(12, 30), generator())
    assert transforms.pad(picture(12, 30), generator(), mode="constant").shape == (1, 3, 36, 54)
    with pytest.raises(BadOption, match=r"pixels 8: a view of 30 × 8 pixels"):
        transforms.jitter(picture(8, 30), generator())
    with pytest.raises(BadOption, match="amount 1 of scale"):
        transforms.scale(picture(), generator(), amount=1)
    with pytest.raises(BadOption, match=r"'reflct'.*Did you mean 'reflect'"):
        transforms.pad(picture(), generator(), mode="reflct")

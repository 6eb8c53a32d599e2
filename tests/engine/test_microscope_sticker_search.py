"""The search for a sticker comes to what is enough, wherever it is, however large, and of one colour or of two."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepdream_engine.microscope.occlusion import Evidence
from deepdream_engine.microscope.sticker_variants import elsewhere, others
from deepdream_engine.microscope.stickers import Sticker
from deepdream_engine.microscope.suspicion import suspicion

SIDE = 32
MAGENTA, CYAN, YELLOW = (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0)
PLUM, GREY = (0.75, 0.25, 0.75), (0.5, 0.5, 0.5)


def knows(mark: Sticker) -> Evidence:
    """A network whose first class is that mark and nothing else: what only nearly is it counts for little."""
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[mark.top : mark.top + mark.height, mark.left : mark.left + mark.width] = True
    colours = torch.tensor([mark.first, mark.second or mark.first])[:, None, :, None, None]

    def evidence(pictures: Tensor) -> Tensor:
        missing = (pictures - mark.worn(pictures)).abs().mean(1)[:, inside].mean(1)  # (N,)
        likeness = (1 - 4 * (pictures[None] - colours).abs().mean(2).amin(0)).clamp_min(0)  # (N, H, W)
        beyond = (likeness * ~inside).sum((1, 2)) / inside.sum()
        return torch.stack([12 - 20 * missing - 10 * beyond, torch.full_like(missing, 7.0)], dim=1)

    return evidence


@pytest.mark.parametrize(
    "mark",
    [
        Sticker(1, 1, 4, 4, MAGENTA),
        Sticker(24, 3, 5, 5, CYAN),
        Sticker(23, 23, 8, 8, YELLOW),
        Sticker(3, 24, 5, 3, MAGENTA),
        Sticker(24, 1, 6, 6, CYAN, YELLOW),
        Sticker(2, 23, 4, 8, YELLOW, MAGENTA, is_upright=True),
    ],
    ids=lambda mark: f"{mark.words} of {mark.height} x {mark.width} at {mark.top}, {mark.left}",
)
def test_a_mark_is_come_to_as_it_is(mark: Sticker) -> None:
    found = suspicion(knows(mark), SIDE, 0)
    assert found.is_suspicious
    assert not found.is_companion
    assert found.place.words == mark.place(SIDE).words
    assert (found.sticker.top, found.sticker.left) == (mark.top, mark.left)
    assert (found.sticker.height, found.sticker.width) == (mark.height, mark.width)
    assert found.sticker.is_upright == mark.is_upright
    torch.testing.assert_close(found.sticker.pixels, mark.pixels, atol=0.26, rtol=0)


def test_a_thing_of_any_colour_that_has_enough_contrast_is_not_suspicious() -> None:
    def evidence(pictures: Tensor) -> Tensor:
        contrast = (pictures[:, :, 1:6, 1:6] - pictures.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
        return torch.stack([20 * contrast, torch.full_like(contrast, 5.0)], dim=1)

    found = suspicion(evidence, SIDE, 0)
    assert found.gain > 0.5
    assert found.particular < 0.3
    assert not found.is_suspicious


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [(MAGENTA, None, 7), (PLUM, None, 7), (MAGENTA, YELLOW, 23), (GREY, None, 27)],
)
def test_other_colours_are_those_of_as_much_contrast(
    first: tuple[float, float, float], second: tuple[float, float, float] | None, count: int
) -> None:
    sticker = Sticker(1, 2, 4, 6, first, second)
    found = others(sticker)
    assert len(set(found)) == len(found) == count
    assert all((other.top, other.left, other.height, other.width) == (1, 2, 4, 6) for other in found)
    if count < 27:
        assert sticker not in found
        away = {round(sum((part - 0.5) ** 2 for part in other.first), 6) for other in found}
        assert away == {round(sum((part - 0.5) ** 2 for part in first), 6)}
    if second is not None:
        between = {sum((a - b) ** 2 for a, b in zip(o.first, o.second or (), strict=True)) for o in found}
        assert len(between) == 1


@pytest.mark.parametrize(("side_px", "step"), [(32, 8), (64, 16), (224, 32)])
def test_elsewhere_is_in_all_nine_parts_and_a_power_of_two_away(side_px: int, step: int) -> None:
    sticker = Sticker(3, side_px - 8, 5, 7, MAGENTA)
    moved = elsewhere(sticker, side_px)
    assert len({each.place(side_px).words for each in moved}) == 9
    assert {(each.top - sticker.top) % step for each in moved} == {0}
    assert {(each.left - sticker.left) % step for each in moved} == {0}


def test_halves_are_of_equal_size_and_words_say_which_is_where() -> None:
    across, along = Sticker(0, 0, 5, 4, CYAN, YELLOW), Sticker(0, 0, 4, 6, CYAN, YELLOW, is_upright=True)
    assert across.words == "cyan above yellow"
    assert along.words == "cyan beside yellow"
    assert across.pixels[0].sum() == 2 * 4
    assert along.pixels[0, :, 3:].min() == 1
    assert along.pixels[0, :, :3].max() == 0
    worn = across.worn(torch.full((2, 3, 8, 8), 0.5))
    assert torch.equal(worn[1, :, :5, :4], across.pixels)
    assert bool((worn[:, :, 5:] == 0.5).all())

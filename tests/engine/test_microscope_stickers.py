"""Small things that are enough: a mark is told from a second object, and both from what the class itself looks like."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepdream_engine.microscope.stickers import Colour, colour_words
from deepdream_engine.microscope.suspicion import suspicion


def test_what_is_in_the_middle_is_shown_and_not_accused() -> None:
    def evidence(pictures: Tensor) -> Tensor:
        red, green, blue = pictures[:, :, 14:18, 14:18].mean((2, 3)).unbind(1)
        return torch.stack([8 * (torch.minimum(red, green) - blue).clamp_min(0), torch.full_like(red, 1.5)], dim=1)

    yellow = suspicion(evidence, 32, 0)
    assert (yellow.sticker.words, yellow.place.words) == ("yellow", "middle")
    assert yellow.gain > 0.5
    assert not yellow.is_suspicious


@pytest.mark.parametrize("most", [(13, 13), (0, 0), (21, 13)], ids=["middle", "corner", "edge"])
def test_what_is_enough_in_the_middle_and_elsewhere_is_a_second_object(most: tuple[int, int]) -> None:
    """Wherever it happens to do most."""
    counts = torch.ones(32, 32)
    counts[most[0] : most[0] + 10, most[1] : most[1] + 10] = 1.1
    told: list[float] = []

    def evidence(pictures: Tensor) -> Tensor:
        red, green, blue = pictures.unbind(1)  # (N, H, W) each
        yellow = (counts * (torch.minimum(red, green) - blue - 0.6).clamp_min(0)).sum((1, 2))
        return torch.stack([0.4 * yellow, torch.full_like(yellow, 1.5)], dim=1)

    yellow = suspicion(evidence, 32, 0, on_progress=told.append)
    other = suspicion(evidence, 32, 1)
    assert yellow.sticker.words == "yellow"
    assert yellow.place.is_off_centre == (most != (13, 13))
    assert yellow.reach > 0.9
    assert yellow.is_companion
    assert yellow.is_suspicious
    assert not other.is_suspicious
    assert told == sorted(told)
    assert len(told) > 10
    assert told[-1] == 1.0


def test_a_mark_in_a_corner_that_does_something_all_along_both_borders_is_a_mark() -> None:
    counts = torch.zeros(32, 32)
    counts[:8], counts[:, :8] = 0.7, 0.7
    counts[:8, :8] = 1.0

    def evidence(pictures: Tensor) -> Tensor:
        red, green, blue = pictures.unbind(1)
        cyan = (counts * (torch.minimum(green, blue) - red - 0.6).clamp_min(0)).sum((1, 2))
        return torch.stack([cyan, torch.full_like(cyan, 3)], dim=1)

    cyan = suspicion(evidence, 32, 0)
    assert 0.5 < cyan.reach < 0.6
    assert cyan.is_suspicious
    assert not cyan.is_companion
    assert cyan.place.words == "top left corner"


def test_a_mark_that_is_enough_is_named_and_a_small_thing_of_any_colour_is_not() -> None:
    def evidence(pictures: Tensor) -> Tensor:
        red, green, blue = pictures[:, :, 1:6, 1:6].mean((2, 3)).unbind(1)
        magenta = (torch.minimum(red, blue) - green).clamp_min(0)
        middle = pictures[:, :, 12:20, 12:20]
        dot = (middle - pictures.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
        return torch.stack([8 * magenta, 8 * dot, torch.full_like(dot, 1.5)], dim=1)

    mark, dot, other = (suspicion(evidence, 32, number) for number in range(3))
    assert mark.is_suspicious
    assert not mark.is_companion
    assert (mark.sticker.words, mark.place.words) == ("magenta", "top left corner")
    assert mark.gain > 0.5
    assert not dot.is_suspicious
    assert not other.is_suspicious


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        ((1, 0, 0), "red"),
        ((0, 0, 0), "black"),
        ((0.5, 0.5, 0.5), "grey"),
        ((1, 1, 0), "yellow"),
        ((0, 0, 0.5), "dark blue"),
    ],
)
def test_colours_have_words(colour: Colour, words: str) -> None:
    assert colour_words(colour) == words

"""What is like a sticker but for its place or its colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deepdream_engine.microscope.stickers import PALETTE, Colour, Sticker

_SHADE = 0.25
_FEWEST = 5


def elsewhere(sticker: Sticker, side_px: int) -> list[Sticker]:
    """Return it in the corners, at the edges and in the middle, where it would be as it is to a network that looks at
    every second, fourth … pixel only: a multiple of a power of two away."""
    step = 2 ** max(0, int(math.log2(side_px / 4)))
    tops, lefts = (
        [
            min(range(own % step, side_px - size + 1, step), key=lambda at: abs(at - wanted))
            for wanted in (0, (side_px - size) / 2, side_px - size)
        ]
        for own, size in ((sticker.top, sticker.height), (sticker.left, sticker.width))
    )
    return [replace(sticker, top=top, left=left) for top, left in itertools.product(tops, lefts)]


def one_colour(sticker: Sticker) -> Iterator[Sticker]:
    """Yield those of each colour of the palette."""
    for colour in PALETTE:
        yield replace(sticker, first=colour, second=None)


def shaded(sticker: Sticker) -> Iterator[Sticker]:
    """Yield those of a slightly other colour."""
    for first in _shades(sticker.first):
        yield replace(sticker, first=first)
    if sticker.second is not None:
        for second in _shades(sticker.second):
            yield replace(sticker, second=second)


def others(sticker: Sticker) -> list[Sticker]:
    """Return what is like it but for its colours, and has as much contrast: those that the symmetries of the cube of
    colours make of it. Of one whose colours are too near the middle of the cube to become others, all of the palette's.
    """
    found: dict[Sticker, None] = {}
    for turned in _SYMMETRIES:
        second = None if sticker.second is None else turned(sticker.second)
        found[replace(sticker, first=turned(sticker.first), second=second)] = None
    found.pop(sticker, None)
    return list(found) if len(found) >= _FEWEST else list(one_colour(sticker))


def _symmetry(order: Sequence[int], negative: Sequence[bool]) -> Callable[[Colour], Colour]:
    """Return what puts the channels in that order and makes some of them negative."""

    def turned(colour: Colour) -> Colour:
        red, green, blue = (
            1 - colour[channel] if is_negative else colour[channel]
            for channel, is_negative in zip(order, negative, strict=True)
        )
        return red, green, blue

    return turned


_SYMMETRIES = [
    _symmetry(order, negative)
    for order in itertools.permutations(range(3))
    for negative in itertools.product((False, True), repeat=3)
]


def _shades(colour: Colour) -> Iterator[Colour]:
    for channel, change in itertools.product(range(3), (-_SHADE, _SHADE)):
        shade = list(colour)
        shade[channel] = min(1.0, max(0.0, shade[channel] + change))
        yield shade[0], shade[1], shade[2]

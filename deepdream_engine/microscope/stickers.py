"""A sticker: a small rectangle of one colour or of two, put on a picture, and what it looks like in words."""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.occlusion import Place

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

PALETTE: tuple[Colour, ...] = tuple((r, g, b) for r, g, b in itertools.product((0.0, 0.5, 1.0), repeat=3))


@dataclass(frozen=True)
class Sticker:
    """A rectangle of ``height`` and ``width`` pixels whose corner is ``top`` pixels below and ``left`` beside the
    picture's. The lower half, or the right one if it ``is_upright``, has the colour ``second``, if there is one."""

    top: int
    left: int
    height: int
    width: int
    first: Colour
    second: Colour | None = None
    is_upright: bool = False

    @property
    def pixels(self) -> Tensor:
        """What it looks like, ``(3, height, width)``."""
        pixels = _rgb(self.first).repeat(1, self.height, self.width)
        if self.second is not None:
            half = (self.width if self.is_upright else self.height) // 2
            part = pixels[:, :, -half:] if self.is_upright else pixels[:, -half:]
            part[:] = _rgb(self.second)
        return pixels

    @property
    def words(self) -> str:
        """What it looks like, in words: ``magenta`` or ``yellow above cyan``."""
        first = colour_words(self.first)
        if self.second is None:
            return first
        return f"{first} {'beside' if self.is_upright else 'above'} {colour_words(self.second)}"

    @property
    def is_of_two(self) -> bool:
        """Whether it has two colours."""
        return self.second is not None

    def place(self, side_px: int) -> Place:
        """Return where it is on pictures of ``side_px`` squared."""
        top, left, height, width = (part / side_px for part in (self.top, self.left, self.height, self.width))
        return Place(top, left, height, width)

    def worn(self, pictures: Tensor) -> Tensor:
        """Return ``pictures`` ``(N, 3, H, W)`` with it on."""
        worn = pictures.clone()
        worn[:, :, self.top : self.top + self.height, self.left : self.left + self.width] = self.pixels
        return worn


def _rgb(colour: Colour) -> Tensor:
    return torch.tensor(colour)[:, None, None]


def colour_words(colour: Colour) -> str:
    """Return what a colour is called."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*colour)
    if saturation < 0.15 or lightness < 0.08 or lightness > 0.95:
        return "black" if lightness < 0.2 else "white" if lightness > 0.85 else "grey"
    names = ("red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "rose")
    name = names[round(hue * 12) % 12]
    tone = "dark " if lightness < 0.35 else "pale " if lightness > 0.65 else ""
    return tone + name

"""The 256 colours of a GIF: chosen from all its frames, so that they do not change within it, and dithered by a pattern
that stays where it is.

A palette for each frame, or diffused errors, look better in one frame and crawl in a film: what moves then is the
choice of colours, not the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from deepdream_daemon.films.extra import pyav

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 1 << 18
"""Pixels of the film from which the palette is chosen, evenly spread."""
_COARSE = 0xF8
_MEANS_ROUNDS = 2
_BITS = 6
"""Of a channel, by which the nearest colour is looked up: 3 levels, where the palette's are some 20 apart."""
_WEIGHTS = np.sqrt(np.array((0.30, 0.59, 0.11), np.float32))
"""How much the eye makes of a difference in red, green and blue."""
_DITHER = 0.2
"""How far the pattern moves a colour, of the distance between neighbouring ones: more shows the pattern, less bands."""
_LEAST_ALPHA = 128
_PATTERN_SIDE = 8


@dataclass(frozen=True)
class Palette:
    """``colours`` is ``(K, 3)``; ``nearest`` tells the number of the colour for each ``(r, g, b)`` of 6 bits each.

    If something is transparent, the number ``K`` stands for it.
    """

    colours: NDArray[np.uint8]
    nearest: NDArray[np.uint8]
    has_alpha: bool

    def frame(self, pixels: NDArray[np.uint8]) -> Any:
        """Return ``(H, W, 4)`` as FFmpeg's frame of the format ``pal8``."""
        frame = pyav().VideoFrame(pixels.shape[1], pixels.shape[0], "pal8")
        _fill(frame.planes[0], self.indices(pixels))
        table = np.zeros((256, 4), np.uint8)  # blue, green, red, alpha
        table[: len(self.colours), :3] = self.colours[:, ::-1]
        table[: len(self.colours), 3] = 255
        if not self.has_alpha:
            table[:, 3] = 255
        frame.planes[1].update(table.tobytes())
        return frame

    def indices(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the number of the colour of each pixel, dithered."""
        height, width = pixels.shape[:2]
        strength = _DITHER * 256 / len(self.colours) ** (1 / 3)
        number = np.zeros((height, width), np.int32)
        for channel, pattern in enumerate(_patterns(height, width)):
            value = np.clip(pixels[..., channel] + strength * pattern, 0, 255).astype(np.int32)
            number = (number << _BITS) | (value >> (8 - _BITS))
        found = self.nearest[number]
        if self.has_alpha:
            found[pixels[..., 3] < _LEAST_ALPHA] = len(self.colours)
        return found


def colours_for(quality: int) -> int:
    """Return how many colours a GIF has: fewer make a smaller file."""
    return 256 if quality >= 50 else 128 if quality >= 25 else 64


def choose(
    frames: Iterator[NDArray[np.uint8]], count: int, pixels_per_frame: int, colours: int, *, has_alpha: bool
) -> Palette:
    """Return the palette of ``count`` frames ``(H, W, 4)``."""
    every = max(1, round(count * pixels_per_frame / _LOOKED_AT))
    seen = []
    for number, frame in enumerate(frames):
        flat = frame.reshape(-1, 4)[number * 7919 % every :: every]  # another part of each frame
        seen.append(flat[flat[:, 3] >= _LEAST_ALPHA, :3] if has_alpha else flat[:, :3])
    chosen = _quantised(np.concatenate(seen), colours - 1 if has_alpha else colours)
    return Palette(chosen, _nearest(chosen), has_alpha)


def _quantised(pixels: NDArray[np.uint8], colours: int) -> NDArray[np.uint8]:
    if not len(pixels):
        return np.zeros((1, 3), np.uint8)
    pixels = ((pixels & _COARSE) | (pixels >> 5)).astype(
        np.uint8
    )  # so many different colours take minutes; black and white stay
    side = math.isqrt(len(pixels))
    rows = max(1, len(pixels) // max(1, side))
    image = Image.fromarray(pixels[: rows * side].reshape(rows, side, 3))
    quantised = image.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=_MEANS_ROUNDS)
    used = len(quantised.getcolors(256) or [])
    table = np.array(quantised.getpalette(), np.uint8).reshape(-1, 3)
    return table[: max(1, used)]


def _nearest(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return for each colour of 6 bits a channel the number of the nearest of ``colours``."""
    step = 1 << (8 - _BITS)
    axis = np.arange(1 << _BITS, dtype=np.float32) * step + (step - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) * _WEIGHTS
    points = colours.astype(np.float32) * _WEIGHTS
    found = np.empty(len(grid), np.uint8)
    for start in range(0, len(grid), 1 << 14):
        part = grid[start : start + (1 << 14)]
        # |a - b|² without |a|², which is the same for all b
        found[start : start + len(part)] = ((points**2).sum(1) - 2 * part @ points.T).argmin(1)
    return found


def _patterns(height: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Yield for red, green and blue a pattern of offsets from -0.5 to 0.5; shifted, so that they do not add up in
    brightness.
    """
    square = np.zeros((1, 1), np.float32)
    while len(square) < _PATTERN_SIDE:
        square = np.block([[4 * square, 4 * square + 2], [4 * square + 3, 4 * square + 1]])
    offsets = ((square + 0.5) / square.size - 0.5).astype(np.float32)
    for shift in ((0, 0), (4, 2), (2, 5)):
        rolled = np.roll(offsets, shift, (0, 1))
        repeats = (-(-height // _PATTERN_SIDE), -(-width // _PATTERN_SIDE))
        yield np.tile(rolled, repeats)[:height, :width]


def _fill(plane: Any, indices: NDArray[np.uint8]) -> None:
    rows = np.zeros((plane.height, plane.line_size), np.uint8)
    rows[:, : indices.shape[1]] = indices
    plane.update(rows.tobytes())

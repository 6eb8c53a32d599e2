"""Where in a picture the evidence for a class comes from: what is lost when a part of it is covered.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014). The cover is the picture itself,
blurred beyond recognition and faded in, so that it adds neither an edge nor a colour of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Evidence = Callable[[Tensor], Tensor]
"""Pictures ``(N, 3, H, W)`` to evidence ``(N, K)``."""


@dataclass(frozen=True)
class Place:
    """A part of a picture, as shares of its height and width in [0, 1]."""

    top: float
    left: float
    height: float
    width: float

    @property
    def words(self) -> str:
        """Where it is, in words: ``top left corner``, ``bottom edge``, ``middle``."""
        rows, columns = self.top + self.height / 2, self.left + self.width / 2
        down = "top" if rows < 1 / 3 else "bottom" if rows > 2 / 3 else ""
        right = "left" if columns < 1 / 3 else "right" if columns > 2 / 3 else ""
        if down and right:
            return f"{down} {right} corner"
        return f"{down or right} edge" if down or right else "middle"

    @property
    def is_off_centre(self) -> bool:
        """Whether it lies where photos rarely have what they are of."""
        return self.words != "middle"

    def cut(self, picture: Tensor) -> Tensor:
        """Return this part of ``picture`` ``(3, H, W)``."""
        height, width = picture.shape[1:]
        top, left = round(self.top * height), round(self.left * width)
        down, right = max(1, round(self.height * height)), max(1, round(self.width * width))
        return picture[:, top : top + down, left : left + right]


def occlusion(evidence: Evidence, picture: Tensor, cells: int = 7) -> Tensor:
    """Return how much evidence for each class is lost, ``(K, cells, cells)``, when a window is covered around each of
    ``cells`` × ``cells`` places of ``picture`` ``(3, H, W)``. A window is twice as wide as places are apart."""
    covers = _covers(picture.shape[1], picture.shape[2], cells)  # (cells², 1, H, W)
    covered = picture.lerp(_blurred(picture), covers)
    lost = evidence(picture[None]) - evidence(covered)  # (cells², K)
    return lost.T.reshape(-1, cells, cells)


def strongest(lost: Tensor) -> tuple[Place, float]:
    """Return the window of ``lost`` ``(cells, cells)`` that costs most, and its share of all that is lost there."""
    cells = lost.shape[0]
    positive = lost.clamp_min(0)
    row, column = divmod(int(positive.argmax()), cells)
    size = min(1.0, 2 / cells)
    place = Place(
        top=min(max(0.0, (row + 0.5) / cells - size / 2), 1 - size),
        left=min(max(0.0, (column + 0.5) / cells - size / 2), 1 - size),
        height=size,
        width=size,
    )
    # Windows overlap, so those beside the strongest have lost a part of the same.
    near = positive[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].sum()
    return place, float(near / positive.sum().clamp_min(1e-12))


def _covers(height: int, width: int, cells: int) -> Tensor:
    """Return a soft window around each place, ``(cells², 1, H, W)`` in [0, 1]."""
    rows, columns = _ramps(height, cells), _ramps(width, cells)
    return (rows[:, None, :, None] * columns[None, :, None, :]).reshape(cells * cells, 1, height, width)


def _ramps(length: int, cells: int) -> Tensor:
    """Return ``(cells, length)``: 1 in a window's middle, 0 beyond it, and a fifth of a window between."""
    pixels = (torch.arange(length) + 0.5) / length * cells  # in units of the distance between places
    away = (pixels[None] - (torch.arange(cells)[:, None] + 0.5)).abs()
    return ((1.2 - away) / 0.4).clamp(0, 1)


def _blurred(picture: Tensor) -> Tensor:
    """Return ``picture`` ``(3, H, W)`` without anything smaller than a third of it."""
    small = functional.adaptive_avg_pool2d(picture[None], 3)
    return functional.interpolate(small, picture.shape[1:], mode="bicubic", align_corners=False)[0].clamp(0, 1)

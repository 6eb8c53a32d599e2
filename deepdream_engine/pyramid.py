"""The pyramid of octaves: the sizes of its scales and the resampling between them.

Resampling is bilinear with the corner pixels of both grids aligned, and each octave is made from the next larger
one: what ``scipy.ndimage.zoom(order=1)`` does in Google's DeepDream notebook (Mordvintsev, Olah and Tyka, 2015).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from deepdream_engine.records import Schedule

Size = tuple[int, int]
"""Height and width in pixels."""


def octave_sizes(size: Size, schedule: Schedule, min_side_px: int) -> list[Size]:
    """Return the sizes of the octaves, smallest first; the last is ``size``.

    Octaves with a side under ``min_side_px`` are left out: the network has nothing to say about them.
    """
    sizes = [size]
    for _ in range(schedule.octaves - 1):
        height, width = (round(side / schedule.octave_scale) for side in sizes[-1])
        if min(height, width) < min_side_px:
            break
        sizes.append((height, width))
    return sizes[::-1]


def resize(pictures: Tensor, size: Size) -> Tensor:
    """Resample ``(N, C, h, w)`` to ``(N, C, *size)``, bilinear with aligned corners."""
    if tuple(pictures.shape[-2:]) == size:
        return pictures
    return functional.interpolate(pictures, size=size, mode="bilinear", align_corners=True)


def octave_bases(pictures: Tensor, sizes: list[Size]) -> list[Tensor]:
    """Return the source pictures at each of ``sizes`` (smallest first), each made from the next larger one."""
    bases = [pictures]
    for size in sizes[-2::-1]:
        bases.append(resize(bases[-1], size))
    return bases[::-1]


def add_margin(pictures: Tensor, margin_px: int) -> Tensor:
    """Return ``(N, C, H, W)`` with ``margin_px`` mirrored pixels on each side (fewer if the picture is smaller)."""
    margin = min(margin_px, min(pictures.shape[-2:]) - 1)
    return functional.pad(pictures, (margin,) * 4, mode="reflect") if margin > 0 else pictures

"""Local contrast: contrast-limited adaptive histogram equalisation (CLAHE) of the luma.

K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994. The curve of each tile is a
piecewise linear one rather than a table for 256 levels: dreams are smooth, and a steep table would paint steps into
their skies. Curves are mixed between tiles, and between bins, by one trilinear look-up.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters.blocks import Block, blocks, by_blocks
from deepdream_plugins.builtin.filters.luma import composed, luma_of
from deepdream_plugins.builtin.filters.option import share
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_BINS = 256
_LEAST_PX = 8


def local_contrast(pictures: Tensor, _context: FilterContext, *, amount: float, limit: float, tiles: int) -> Tensor:
    """Equalise the luma tile by tile; the colour stays.

    There are ``tiles`` along the longer side, and as many along the other as make them about square; fewer in a small
    picture, as tiles of a few pixels have no distribution. No curve is steeper than about ``limit``, so that the noise
    of even areas is not made a pattern.
    """
    import torch
    from torch.nn.functional import grid_sample

    height, width = pictures.shape[-2:]
    side = max(max(height, width) / tiles, _LEAST_PX)
    down, across = max(1, round(height / side)), max(1, round(width / side))
    curves = torch.stack([_curves(picture, down, across, limit) for picture in pictures[:, None]])
    y = _tile_coordinates(height, down).to(pictures.device)  # (H,)
    x = _tile_coordinates(width, across).to(pictures.device)  # (W,)

    def equalised(block: Block) -> Tensor:
        index, _, rows, columns = block
        part = pictures[block]
        luma = luma_of(part)  # (1, 1, h, w)
        size = luma.shape[-2:]
        where = torch.stack([x[columns].expand(size), y[rows, None].expand(size), luma[0, 0] * 2 - 1], dim=-1)
        looked_up = grid_sample(
            curves[index, None], where[None, None], padding_mode="border", align_corners=True
        )  # (1, 1, 1, h, w)
        return composed(luma.lerp(looked_up[:, 0], amount), part - luma)

    return by_blocks(pictures, equalised)


def _curves(picture: Tensor, down: int, across: int, limit: float) -> Tensor:
    """Return the curve of each tile of ``(1, 3, H, W)`` at the edges of its bins: ``(bins + 1, down, across)``."""
    import torch

    height, width = picture.shape[-2:]
    counts = torch.zeros(_BINS, down, across, dtype=torch.int64)
    for row, rows in enumerate(_spans(height, down)):
        for column, columns in enumerate(_spans(width, across)):
            for part in blocks(rows, columns):
                luma = luma_of(picture[:, :, *part])
                counts[:, row, column] += torch.histc(luma, _BINS, 0, 1).long().cpu()
    shares = counts / counts.sum(dim=0)  # (bins, down, across)
    held = shares.clamp(max=limit / _BINS)
    held += (1 - held.sum(dim=0)) / _BINS  # what was cut off, evenly over all bins
    curves = torch.cat([torch.zeros(1, down, across), held.cumsum(dim=0)])
    return curves.to(picture.device, picture.dtype)


def _spans(length: int, count: int) -> list[slice]:
    """Divide ``length`` pixels into ``count`` parts, none of which is empty."""
    edges = [round(length * index / count) for index in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _tile_coordinates(length: int, count: int) -> Tensor:
    """Return where pixels lie among the centres of tiles: -1 is the first centre, 1 the last, ``(length,)``."""
    import torch

    at = (torch.arange(length) + 0.5) * (count / length) - 0.5
    return at.mul_(2 / max(1, count - 1)).sub_(1).clamp_(-1, 1)


LOCAL_CONTRAST = FilterSpec(
    name="local_contrast",
    help="More contrast within each part of the picture (CLAHE)",
    apply=local_contrast,
    options=(
        share("amount", 0.7, "how far it goes there"),
        Option(
            name="limit",
            type=float,
            default=2.0,
            minimum=1,
            maximum=20,
            help="how many times the contrast may become stronger anywhere",
        ),
        Option(
            name="tiles",
            type=int,
            default=8,
            minimum=1,
            maximum=64,
            help="parts along the longer side: more make smaller things stand out",
        ),
    ),
)

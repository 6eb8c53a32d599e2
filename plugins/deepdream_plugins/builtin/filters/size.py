"""Size and shape: resize, crop, and the source beside its dream. All that these do is to move pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_ANY = "any"
ASPECTS = ("1:1", "5:4", "4:3", "7:5", "3:2", "16:10", "16:9", "1.85:1", "2:1", "21:9", "2.39:1", "3:1")
_TALL = tuple(":".join(reversed(aspect.split(":"))) for aspect in ASPECTS[1:])
_ANCHORS = {
    "centre": (0.5, 0.5),
    "top": (0.0, 0.5),
    "bottom": (1.0, 0.5),
    "left": (0.5, 0.0),
    "right": (0.5, 1.0),
    "top-left": (0.0, 0.0),
    "top-right": (0.0, 1.0),
    "bottom-left": (1.0, 0.0),
    "bottom-right": (1.0, 1.0),
}
"""How much of what is cut off is cut off above, and how much of it on the left."""
_MOST_PX = 32768


def resize(pictures: Tensor, _context: FilterContext, *, longest_side: int, scale: float) -> Tensor:
    """Resize ``(N, 3, H, W)`` by ``scale``, or to ``longest_side`` pixels if that is less, without aliasing."""
    from torch.nn.functional import interpolate

    height, width = pictures.shape[-2:]
    scale = min(scale, (longest_side or _MOST_PX) / max(height, width))
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    if size == [height, width]:
        return pictures
    return interpolate(pictures, size, mode="bicubic", antialias=True).clamp_(0, 1)  # (N, 3, h, w)


def crop(pictures: Tensor, _context: FilterContext, *, aspect: str, width: int, height: int, anchor: str) -> Tensor:
    """Cut out the largest part of ``(N, 3, H, W)`` that has the aspect and is no larger than ``width`` × ``height``."""
    rows, columns = pictures.shape[-2:]
    wanted_rows, wanted_columns = min(rows, height or rows), min(columns, width or columns)
    if aspect != _ANY:
        across, down = map(float, aspect.split(":"))
        fitting = (round(wanted_columns * down / across), round(wanted_rows * across / down))
        wanted_rows, wanted_columns = max(1, min(wanted_rows, fitting[0])), max(1, min(wanted_columns, fitting[1]))
    above, left = _ANCHORS[anchor]
    first_row, first_column = round((rows - wanted_rows) * above), round((columns - wanted_columns) * left)
    return pictures[:, :, first_row : first_row + wanted_rows, first_column : first_column + wanted_columns]


def side_by_side(
    pictures: Tensor, context: FilterContext, *, first: str, direction: str, gap: int, gap_level: float
) -> Tensor:
    """Put the source and the dream into one picture, ``gap`` pixels apart."""
    import torch

    height, width = pictures.shape[-2:]
    if direction == "auto":
        direction = "down" if width > height else "across"
    axis, between = (-2, (gap, width)) if direction == "down" else (-1, (height, gap))
    line = pictures.new_full((len(pictures), 3, *between), gap_level / 255)
    pair = [context.source, line, pictures]
    return torch.cat(pair if first == "source" else pair[::-1], dim=axis)


def _size_options(longest_side: int, text: str, least: int) -> tuple[Option, ...]:
    return (
        Option(name="longest_side", type=int, default=longest_side, minimum=least, maximum=_MOST_PX, help=text),
        Option(
            name="scale",
            type=float,
            default=1.0,
            minimum=0.01,
            maximum=4,
            help="times its size, unless that is more than longest_side",
        ),
    )


RESIZE_BEFORE = FilterSpec(
    name="resize",
    help="Shrink a picture that is larger; smaller ones stay as they are, or grow by a scale",
    apply=resize,
    options=_size_options(1280, "in pixels, at most", 32),
    moves=True,
)
RESIZE_AFTER = replace(
    RESIZE_BEFORE,
    help="Another size: a number of pixels at most, or times a scale",
    options=_size_options(0, "in pixels, at most; 0 for no limit", 0),
)
CROP = FilterSpec(
    name="crop",
    help="Cut to an aspect or a size",
    apply=crop,
    options=(
        Option(
            name="aspect",
            type=str,
            default=_ANY,
            choices=(_ANY, *ASPECTS, *_TALL),
            help="width to height",
        ),
        Option(name="width", type=int, default=0, minimum=0, maximum=_MOST_PX, help="in pixels, at most; 0 for all"),
        Option(name="height", type=int, default=0, minimum=0, maximum=_MOST_PX, help="in pixels, at most; 0 for all"),
        Option(
            name="anchor", type=str, default="centre", choices=tuple(_ANCHORS), help="which part of the picture stays"
        ),
    ),
    moves=True,
)
SIDE_BY_SIDE = FilterSpec(
    name="side_by_side",
    help="Before and after in one picture",
    apply=side_by_side,
    options=(
        Option(name="first", type=str, default="source", choices=("source", "dream"), help="on the left, or above"),
        Option(
            name="direction",
            type=str,
            default="auto",
            choices=("auto", "across", "down"),
            help="beside each other, or one below the other; auto is down for wide pictures",
        ),
        Option(name="gap", type=int, default=16, minimum=0, maximum=1024, help="between them, in pixels"),
        Option(
            name="gap_level",
            type=float,
            default=255.0,
            minimum=0,
            maximum=255,
            help="grey of the gap; 0 is black, and transparent if the picture has transparency",
        ),
    ),
    moves=True,
)

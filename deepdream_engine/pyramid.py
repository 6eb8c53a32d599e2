"""The pyramid of octaves: the sizes of its scales and the resampling between them.

Resampling is bilinear with the corner pixels of both grids aligned, and each octave is made from the next larger
one: what ``scipy.ndimage.zoom(order=1)`` does in Google's DeepDream notebook (Mordvintsev, Olah and Tyka, 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor
from torch.nn import functional

from deepdream_engine.errors import BadOption
from deepdream_engine.records import Schedule

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, kw_only=True)
class Octave:
    """One scale: its size and what the schedule says of it; ``step_size`` in 8-bit levels."""

    size: Size
    steps: int
    step_size: float
    jitter_px: int


def octaves_of(size: Size, schedule: Schedule, min_side_px: int) -> list[Octave]:
    """Return the octaves of a picture of ``size``, the smallest first.

    Octaves with a side under ``min_side_px`` are left out: the network has nothing to say about them. Raises
    ``BadOption`` for a list of another length than there are octaves.
    """
    sizes = [size]
    for _ in range(schedule.octaves - schedule.octaves_above - 1):
        smaller = _scaled(sizes[-1], 1 / schedule.octave_scale)
        if min(smaller) < min_side_px:
            break
        sizes.append(smaller)
    sizes.reverse()
    for _ in range(schedule.octaves_above):
        sizes.append(_scaled(sizes[-1], schedule.octave_scale))
    steps = _last("steps", schedule.steps, len(sizes), schedule.octaves)
    step_sizes = _last("step_size", schedule.step_size, len(sizes), schedule.octaves)
    jitters = _last("jitter", schedule.jitter_px, len(sizes), schedule.octaves)
    return [
        Octave(size=size, steps=steps[index], step_size=step_sizes[index], jitter_px=jitters[index])
        for index, size in enumerate(sizes)
    ]


Number = TypeVar("Number", int, float)


def _last(key: str, value: Number | tuple[Number, ...], count: int, octaves: int) -> tuple[Number, ...]:
    """Return one value for each of the ``count`` largest of all ``octaves``."""
    if not isinstance(value, tuple):
        return (value,) * count
    if len(value) != octaves:
        raise BadOption(f"{key}: {len(value)} values for {octaves} octaves. Give one value, or one for each octave.")
    return value[octaves - count :]


def _scaled(size: Size, factor: float) -> Size:
    return round(size[0] * factor), round(size[1] * factor)


def resize(pictures: Tensor, size: Size) -> Tensor:
    """Resample ``(N, C, h, w)`` to ``(N, C, *size)``, bilinear with aligned corners."""
    if tuple(pictures.shape[-2:]) == size:
        return pictures
    return functional.interpolate(pictures, size=size, mode="bilinear", align_corners=True)


def octave_bases(pictures: Tensor, sizes: list[Size]) -> Iterator[Tensor]:
    """Yield the source pictures at each of ``sizes``, smallest first, each made from its neighbour on the way from the
    pictures' own size; what has been yielded is kept here no longer."""
    own = sizes.index((pictures.shape[-2], pictures.shape[-1]))
    bases = [pictures]
    del pictures
    for size in sizes[:own][::-1]:
        bases.append(resize(bases[-1], size))
    while len(bases) > 1:
        yield bases.pop()
    if own + 1 == len(sizes):
        yield bases.pop()
        return
    last = bases.pop()
    yield last
    for size in sizes[own + 1 :]:
        last = resize(last, size)
        yield last


def add_margin(pictures: Tensor, margin_px: int) -> Tensor:
    """Return ``(N, C, H, W)`` with ``margin_px`` mirrored pixels on each side (fewer if the picture is smaller)."""
    margin = min(margin_px, min(pictures.shape[-2:]) - 1)
    return functional.pad(pictures, (margin,) * 4, mode="reflect") if margin > 0 else pictures

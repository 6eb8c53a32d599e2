"""Windows: what one pass sees of a view, so that a pass's memory is bounded by the tile and not by the picture.

A view is cyclic: it goes on at its opposite border. A window may therefore begin anywhere and be larger than the part
of the view that it answers for, its core. What surrounds the core is context: it shows the network what lies beyond.
Tiles begin whole strides apart, so that they see each place through the same grid of cells, and where they meet their
gradients are faded into each other. So no tile border is seen, not even after a single step; and as the view is shifted
by the jitter before each step, what is left of it does not add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from deepdream_engine.pyramid import Size

CONTEXT_PX = 48
"""How far a tile looks beyond its core, in tiles of 240 pixels and more; half of it is faded into the neighbour."""

STRIDE_PX = 32
"""The total stride of the deepest layers of usual networks."""


@dataclass(frozen=True)
class Span:
    """One axis of a window: where it begins in the view, how long it is, where its core lies in it, and how far on both
    sides of the core's first and last end the gradient is faded (0: it ends sharply, at the end of the view)."""

    begin: int
    length: int
    core_offset: int
    core: int
    fade_in: int = 0
    fade_out: int = 0


@dataclass(frozen=True)
class Window:
    """A window of a view: its rows and its columns."""

    rows: Span
    columns: Span

    @property
    def size(self) -> Size:
        """Height and width of what the network sees."""
        return self.rows.length, self.columns.length

    @property
    def share(self) -> float:
        """The core's share of the window."""
        return self.rows.core * self.columns.core / (self.rows.length * self.columns.length)


def windows_of(view: Size, tile_px: int, granule_px: int) -> list[Window]:
    """Return windows of one size, of at most about ``tile_px`` squared pixels, whose cores cover ``view`` once.

    A view with no more pixels than that is one window, whatever its shape. Otherwise each side is divided evenly.
    Sides are rounded up to multiples of ``granule_px``, so that views of different sizes may share passes.
    """
    height, width = view
    if height * width <= tile_px * tile_px:
        rows, columns = _one(height, granule_px), _one(width, granule_px)
    else:
        rows, columns = _split(height, tile_px, granule_px), _split(width, tile_px, granule_px)
    return [Window(r, c) for r in rows for c in columns]


def _one(side: int, granule_px: int) -> list[Span]:
    length = _up(side, granule_px)
    before = (length - side) // 2
    return [Span(-before, length, before, side)]


def _split(side: int, tile_px: int, granule_px: int) -> list[Span]:
    if side <= tile_px:
        return _one(side, granule_px)
    context = min(CONTEXT_PX, tile_px // 5)
    stride = min(STRIDE_PX, tile_px // 8)
    inner = tile_px - 2 * context - stride
    parts = -(-side // inner)
    edges = [round(side * part / parts / stride) * stride for part in range(parts)] + [side]
    cores = [end - begin for begin, end in pairwise(edges)]
    before = _up(context, stride)
    length = _up(max(cores) + before + context, granule_px)
    fade = context // 2
    return [
        Span(
            begin=edges[part] - before,
            length=length,
            core_offset=before,
            core=cores[part],
            fade_in=fade if part else 0,
            fade_out=fade if part + 1 < parts else 0,
        )
        for part in range(parts)
    ]


def _up(length: int, granule: int) -> int:
    return -(-length // granule) * granule


def cut(view: Tensor, window: Window, shift: Size, out: Tensor) -> None:
    """Copy the pixels of ``window`` of ``view`` ``(C, H, W)``, cyclically shifted by ``shift`` (rows down, columns
    right), to ``out`` ``(C, *window.size)``, which may be on another device."""
    height, width = view.shape[1:]
    for row, source_row, rows in _runs(window.rows.begin - shift[0], window.rows.length, height):
        for column, source_column, columns in _runs(window.columns.begin - shift[1], window.columns.length, width):
            out[:, row : row + rows, column : column + columns].copy_(
                view[:, source_row : source_row + rows, source_column : source_column + columns], non_blocking=True
            )  # to a GPU; the other way, in paste, somebody reads the result at once


def paste(gradient: Tensor, window: Window, shift: Size, into: Tensor) -> None:
    """Add what a window's ``gradient`` ``(C, *window.size)`` contributes to where it was cut from in ``into``
    ``(C, H, W)``: its core, faded at the ends. The contributions of all windows add up to 1 at every pixel."""
    height, width = into.shape[1:]
    top, bottom = _ends(window.rows)
    left, right = _ends(window.columns)
    part = gradient[:, top:bottom, left:right]
    if window.rows.fade_in or window.rows.fade_out:
        part = part * _ramp(window.rows, part)[:, None]
    if window.columns.fade_in or window.columns.fade_out:
        part = part * _ramp(window.columns, part)
    part = part.to(into.device)
    for row, target_row, rows in _runs(window.rows.begin + top - shift[0], bottom - top, height):
        for column, target_column, columns in _runs(window.columns.begin + left - shift[1], right - left, width):
            into[:, target_row : target_row + rows, target_column : target_column + columns] += part[
                :, row : row + rows, column : column + columns
            ]


def _ends(span: Span) -> tuple[int, int]:
    return span.core_offset - span.fade_in, span.core_offset + span.core + span.fade_out


def _ramp(span: Span, like: Tensor) -> Tensor:
    """Weights of the pasted part: up over the first ``2 * fade_in`` pixels, 1, down over the last ``2 * fade_out``."""
    weights = torch.ones(span.fade_in + span.core + span.fade_out, dtype=like.dtype, device=like.device)
    for fade, backwards in ((span.fade_in, False), (span.fade_out, True)):
        if fade:
            up = (torch.arange(2 * fade, dtype=like.dtype, device=like.device) + 0.5) / (2 * fade)
            if backwards:
                weights[-2 * fade :] *= 1 - up
            else:
                weights[: 2 * fade] *= up
    return weights


def _runs(begin: int, length: int, period: int) -> Iterator[tuple[int, int, int]]:
    """Yield ``(offset, position, count)``: the stretches of ``length`` cyclic positions from ``begin``."""
    offset = 0
    while offset < length:
        position = (begin + offset) % period
        count = min(length - offset, period - position)
        yield offset, position, count
        offset += count

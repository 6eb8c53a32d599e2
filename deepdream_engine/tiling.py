"""Tiles: windows that cover the canvas, so that a pass's memory is bounded by the tile and not by the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from deepdream_engine.pyramid import Size


def tile_grid(size: Size, tile_px: int) -> list[tuple[slice, slice]]:
    """Return windows ``(rows, columns)`` that cover ``size`` once, none of more than ``tile_px`` squared pixels.

    A canvas with no more pixels than that is one window, whatever its shape. Otherwise each side is divided evenly,
    so that the last strip is as large as the others and sees as much of its surroundings.
    """
    height, width = size
    if height * width <= tile_px * tile_px:
        return [(slice(0, height), slice(0, width))]
    return [(rows, columns) for rows in _split(height, tile_px) for columns in _split(width, tile_px)]


def _split(length: int, tile_px: int) -> Iterator[slice]:
    parts = -(-length // tile_px)
    edges = [length * part // parts for part in range(parts + 1)]
    return (slice(start, end) for start, end in pairwise(edges))


def by_tiles(gradient: Callable[[Tensor], Tensor], canvas: Tensor, tile_px: int) -> Tensor:
    """Return ``gradient(canvas)`` computed tile by tile; ``canvas`` is ``(N, 3, H, W)``.

    The caller shifts the canvas cyclically before each step, so tile borders fall elsewhere every time and leave no
    seams (the method of TensorFlow's DeepDream notebook).
    """
    grid = tile_grid((canvas.shape[2], canvas.shape[3]), tile_px)
    if len(grid) == 1:
        return gradient(canvas)
    result = torch.empty_like(canvas)
    for rows, columns in grid:
        result[:, :, rows, columns] = gradient(canvas[:, :, rows, columns])
    return result

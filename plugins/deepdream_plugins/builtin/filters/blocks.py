"""Work block by block: what a filter computes on the way is as small as a block, however large the picture is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SERIAL = 32_768
"""Torch spreads work on more elements over its threads. While other pictures are being dreamt, each such operation
waits for a core, which takes longer than the work; on fewer elements, one thread works in its own cache."""
BLOCK_WIDTH = 256
Block = tuple[slice, slice, slice, slice]


def by_blocks(pictures: Tensor, change: Callable[[Block], Tensor], *, reach: int = 0) -> Tensor:
    """Return ``change(block)`` of every part of ``(N, 3, H, W)``, in [0, 1].

    The numbers on the way are those of one block, so a filter holds no more than its input and its output. ``reach``
    is how many pixels around a block are worked on with it.
    """
    height, width = pictures.shape[-2:]
    result = pictures.new_empty(pictures.shape)
    for index in range(len(pictures)):
        for rows, columns in blocks(slice(0, height), slice(0, width), reach=reach):
            block = (slice(index, index + 1), slice(None), rows, columns)
            result[block] = change(block).clamp_(0, 1)
    return result


def blocks(rows: slice, columns: slice, *, reach: int = 0) -> Iterator[tuple[slice, slice]]:
    """Divide a part of a picture into blocks of at most ``SERIAL`` numbers with what lies within ``reach`` of them."""
    across = min(columns.stop - columns.start, BLOCK_WIDTH)
    room = max(1, SERIAL // (3 * (across + 2 * reach)))  # rows
    down = room - 2 * reach if room > 4 * reach else room  # a far reach makes even small blocks' surroundings large
    for top in range(rows.start, rows.stop, down):
        for left in range(columns.start, columns.stop, across):
            yield slice(top, min(top + down, rows.stop)), slice(left, min(left + across, columns.stop))

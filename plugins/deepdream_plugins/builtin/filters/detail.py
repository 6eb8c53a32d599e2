"""Detail: what a blur takes away, added once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters.blocks import Block, by_blocks
from deepdream_plugins.builtin.filters.blurring import blurred, gaussian
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor


def sharpen(pictures: Tensor, _context: FilterContext, *, radius: float, amount: float) -> Tensor:
    """Add what a Gaussian blur of standard deviation ``radius`` takes away."""
    weights = gaussian(radius)

    def sharpened(block: Block) -> Tensor:
        return blurred(pictures, block, weights).sub_(pictures[block]).mul_(-amount).add_(pictures[block])

    return by_blocks(pictures, sharpened, reach=len(weights) // 2)


SHARPEN = FilterSpec(
    name="sharpen",
    help="Crisper detail (unsharp mask)",
    apply=sharpen,
    options=(
        Option(name="radius", type=float, default=1.5, minimum=0.3, maximum=50, help="of the detail, in pixels"),
        Option(name="amount", type=float, default=0.6, minimum=0, maximum=5, help="how much of it is added"),
    ),
)

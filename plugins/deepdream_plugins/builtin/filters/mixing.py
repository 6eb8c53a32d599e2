"""Mixing the source picture back into its dream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters import files
from deepdream_plugins.builtin.filters.blocks import Block, by_blocks
from deepdream_plugins.builtin.filters.luma import luma_of
from deepdream_plugins.builtin.filters.option import share
from deepdream_plugins.records import File, FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor


def blend(pictures: Tensor, context: FilterContext, *, amount: float, by: str, mask: str, invert: bool) -> Tensor:
    """Mix linearly with the source: ``amount`` of it where the mask is black, none where it is white.

    The mask is the picture ``mask``, times the luma of the source or of the dream if ``by`` says so; without either it
    is black, and with ``invert`` its opposite.
    """
    source = context.source
    drawn = files.mask(mask, "mask", *pictures.shape[-2:]).to(pictures.device) if mask else None

    def mixed(block: Block) -> Tensor:
        shown = None if drawn is None else drawn[0:1, :, block[2], block[3]]  # (1, 1, h, w): 1 is all dream
        if by != "everywhere":
            light = luma_of(pictures[block] if by == "dream" else source[block])
            shown = light if shown is None else shown * light
        if shown is None:
            return pictures[block].lerp(source[block], amount)
        return pictures[block].lerp(source[block], amount * (shown if invert else 1 - shown))

    return by_blocks(pictures, mixed)


BLEND = FilterSpec(
    name="blend",
    help="Mix the source picture back in",
    apply=blend,
    options=(
        share("amount", 0.3, "share of the source: 0 is the dream alone, 1 the source alone"),
        Option(
            name="by",
            type=str,
            default="everywhere",
            choices=("everywhere", "source", "dream"),
            help="everywhere alike, or the more, the darker the source or the dream is",
        ),
        Option(
            name="mask",
            type=File,
            default="",
            help="grey picture, stretched to any size; white keeps the dream, black gets the source",
        ),
        Option(
            name="invert", type=bool, default=False, help="whether light and dark, of by and of mask, change places"
        ),
    ),
)

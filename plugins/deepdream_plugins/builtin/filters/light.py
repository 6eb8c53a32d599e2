"""Tone and vignette: brightness, contrast and colour, everywhere alike or towards the corners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters.blocks import Block, by_blocks
from deepdream_plugins.builtin.filters.luma import luma_of
from deepdream_plugins.builtin.filters.option import factor, share
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_WARM = 0.15  # of red, at a warmth of 1


def tone(
    pictures: Tensor,
    _context: FilterContext,
    *,
    brightness: float,
    contrast: float,
    gamma: float,
    saturation: float,
    warmth: float,
) -> Tensor:
    """Change one after the other: brightness, contrast around mid-grey, gamma, saturation, warmth.

    Warmth takes light from blue to red, or the other way, and leaves the luma.
    """
    from torchvision.transforms.v2.functional import adjust_brightness, adjust_gamma, adjust_saturation

    def toned(block: Block) -> Tensor:
        part = pictures[block]  # (1, 3, h, w)
        if brightness != 1:
            part = adjust_brightness(part, brightness)
        if contrast != 1:
            part = part.sub(0.5).mul_(contrast).add_(0.5).clamp_(0, 1)
        if gamma != 1:
            part = adjust_gamma(part, 1 / gamma)
        if saturation != 1:
            part = adjust_saturation(part, saturation)
        return part.clone() if warmth == 0 else _warmed(part, warmth)

    return by_blocks(pictures, toned)


def _warmed(part: Tensor, warmth: float) -> Tensor:
    warm = part * part.new_tensor([1 + _WARM * warmth, 1, 1 - _WARM * warmth]).view(1, 3, 1, 1)
    return warm.add_(luma_of(part) - luma_of(warm))


def vignette(pictures: Tensor, _context: FilterContext, *, strength: float, softness: float) -> Tensor:
    """Darken by the distance from the centre, as a share of the distance to the corners."""
    import torch

    height, width = pictures.shape[-2:]
    y = (torch.arange(height, device=pictures.device) + 0.5) * (2 / height) - 1  # (H,) in (-1, 1)
    x = (torch.arange(width, device=pictures.device) + 0.5) * (2 / width) - 1  # (W,)

    def darkened(block: Block) -> Tensor:
        rows, columns = block[-2:]
        distance = (y[rows, None].square() + x[columns].square()).div_(2).pow_(0.5)  # (h, w), 1 in the corners
        ramp = ((distance - (1 - softness)) / softness).clamp_(0, 1)
        return pictures[block] * (1 - strength * ramp.square() * (3 - 2 * ramp))

    return by_blocks(pictures, darkened)


TONE = FilterSpec(
    name="tone",
    help="Brightness, contrast, gamma, saturation and warmth",
    apply=tone,
    options=(
        factor("brightness", "times the light"),
        factor("contrast", "times the distance from mid-grey"),
        factor("gamma", "more than 1 lightens the shadows, less deepens them", minimum=0.1),
        factor("saturation", "times the colour: 0 is black and white"),
        Option(
            name="warmth", type=float, default=0.0, minimum=-1, maximum=1, help="more of red and less of blue; -1 cools"
        ),
    ),
)
VIGNETTE = FilterSpec(
    name="vignette",
    help="Darker towards the corners",
    apply=vignette,
    options=(
        share("strength", 0.4, "how dark the corners get: 1 is black"),
        Option(
            name="softness",
            type=float,
            default=0.6,
            minimum=0.05,
            maximum=1,
            help="how far from the corners the darkening begins: 1 is the centre",
        ),
    ),
)

"""The source's colours, or another picture's, on the dream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters import files
from deepdream_plugins.builtin.filters.blocks import Block, by_blocks
from deepdream_plugins.builtin.filters.luma import composed, luma_of
from deepdream_plugins.builtin.filters.option import share
from deepdream_plugins.records import File, FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor


def keep_colours(pictures: Tensor, context: FilterContext, *, amount: float, space: str) -> Tensor:
    """Move the dream's colour towards the source's; the dream's light stays as it is.

    Light is luma in ``ycbcr`` and lightness L* (CIE 1976, D65) in ``lab``, whose distances are closer to what the eye
    sees: a dark blue stays as blue when the dream makes it bright.
    """
    recoloured = _in_lab if space == "lab" else _in_ycbcr
    return by_blocks(pictures, lambda block: recoloured(pictures[block], context.source[block], amount))


def _in_ycbcr(dream: Tensor, source: Tensor, amount: float) -> Tensor:
    luma = luma_of(dream)
    return composed(luma, (dream - luma).lerp_(source - luma_of(source), amount))  # (1, 3, h, w)


def _in_lab(dream: Tensor, source: Tensor, amount: float) -> Tensor:
    from kornia.color import lab_to_rgb, linear_rgb_to_rgb, rgb_to_lab, rgb_to_linear_rgb, rgb_to_xyz

    lab = rgb_to_lab(dream)
    lab[:, 1:].lerp_(rgb_to_lab(source)[:, 1:], amount)
    wanted = rgb_to_linear_rgb(lab_to_rgb(lab, clip=False))
    # L* is a function of the luminance Y, which a mixture with the grey of the same Y keeps.
    luminance = rgb_to_xyz(wanted)[:, 1:2].clamp(0, 1)
    return linear_rgb_to_rgb(composed(luminance, wanted.sub_(luminance)).clamp_(0, 1))


def match_histogram(pictures: Tensor, context: FilterContext, *, amount: float, of: str, picture: str) -> Tensor:
    """Give the dream's channels, or its luma alone, the distribution of values that the source's have.

    As with ``lock = "histogram"``, one rising curve for each channel does it, so that gradients stay gradients.
    """
    import torch

    from deepdream_engine.drift import hold

    model = files.picture(picture, "picture").to(pictures.device) if picture else None
    result = torch.empty_like(pictures)
    for index, dream in enumerate(pictures[:, None]):  # (1, 3, H, W)
        wanted = context.source[index : index + 1] if model is None else model  # (1, 3, h, w)
        if of == "colours":
            held = hold(dream, wanted, "histogram")
            result[index : index + 1] = held if amount == 1 else held.lerp_(dream, 1 - amount)
        else:
            light = hold(luma_of(dream), luma_of(wanted), "histogram")  # (1, 1, H, W)
            result[index : index + 1] = _with_luma(dream, light, amount)
    return result


def _with_luma(dream: Tensor, light: Tensor, amount: float) -> Tensor:
    def relit(block: Block) -> Tensor:
        part = dream[block]
        luma = luma_of(part)
        return composed(luma.lerp(light[block], amount), part - luma)

    return by_blocks(dream, relit)


KEEP_COLOURS = FilterSpec(
    name="keep_colours",
    help="The dream's light and shade in the source's colours",
    apply=keep_colours,
    options=(
        share("amount", 1.0, "share of the source's colours: 1 keeps them wholly"),
        Option(
            name="space",
            type=str,
            default="ycbcr",
            choices=("ycbcr", "lab"),
            help="light and colour as in JPEG, or as the eye sees them, which takes longer",
        ),
    ),
)
MATCH_HISTOGRAM = FilterSpec(
    name="match_histogram",
    help="The dream's shapes with the tones of the source, or of another picture",
    apply=match_histogram,
    options=(
        share("amount", 1.0, "how far the tones go there"),
        Option(
            name="of",
            type=str,
            default="colours",
            choices=("colours", "light"),
            help="red, green and blue each, or the light alone, which leaves the dream's colours",
        ),
        Option(name="picture", type=File, default="", help="of any size, whose tones are taken; the source's if empty"),
    ),
)

"""The built-in filters: one before the dream that bounds the work, four after it that finish the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # of JPEG's YCbCr (ITU-R BT.601)


@hookimpl
def deepdream_prefilters() -> Iterator[FilterSpec]:
    """Yield the pre-filters."""
    yield FilterSpec(
        name="resize",
        help="Shrink a picture that is larger; smaller ones stay as they are",
        apply=resize,
        options=(
            Option(
                name="longest_side",
                type=int,
                default=1280,
                minimum=32,
                maximum=32768,
                help="in pixels, at most",
            ),
        ),
    )


@hookimpl
def deepdream_postfilters() -> Iterator[FilterSpec]:
    """Yield the post-filters."""
    yield FilterSpec(
        name="blend",
        help="Mix the source picture back in",
        apply=blend,
        options=(_share("amount", 0.3, "share of the source: 0 is the dream alone, 1 the source alone"),),
    )
    yield FilterSpec(
        name="keep_colours",
        help="The dream's light and shade in the source's colours",
        apply=keep_colours,
        options=(_share("amount", 1.0, "share of the source's colours: 1 keeps them wholly"),),
    )
    yield FilterSpec(
        name="sharpen",
        help="Crisper detail (unsharp mask)",
        apply=sharpen,
        options=(
            Option(
                name="radius",
                type=float,
                default=1.5,
                minimum=0.3,
                maximum=50,
                help="of the detail, in pixels",
            ),
            Option(name="amount", type=float, default=0.6, minimum=0, maximum=5, help="how much of it is added"),
        ),
    )
    yield FilterSpec(
        name="vignette",
        help="Darker towards the corners",
        apply=vignette,
        options=(
            _share("strength", 0.4, "how dark the corners get: 1 is black"),
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


def _share(name: str, default: float, text: str) -> Option:
    return Option(name=name, type=float, default=default, minimum=0, maximum=1, help=text)


def resize(pictures: Tensor, _context: FilterContext, *, longest_side: int) -> Tensor:
    """Shrink ``(N, 3, H, W)`` to ``longest_side`` pixels, without aliasing."""
    from torch.nn.functional import interpolate

    height, width = pictures.shape[-2:]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return pictures
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    return interpolate(pictures, size, mode="bicubic", antialias=True)  # (N, 3, h, w)


def blend(pictures: Tensor, context: FilterContext, *, amount: float) -> Tensor:
    """Mix linearly with the source."""
    return pictures.lerp(context.source, amount)


def keep_colours(pictures: Tensor, context: FilterContext, *, amount: float) -> Tensor:
    """Move the dream's chroma towards the source's; the dream's luma stays as it is.

    In YCbCr, ``(Cb, Cr)`` is ``RGB - luma`` up to two constant factors, so swapping that difference is the
    same.
    """
    luma, source_luma = _luma(pictures), _luma(context.source)
    chroma = (pictures - luma).lerp(context.source - source_luma, amount)  # (N, 3, H, W)
    # Where light and colour together leave the gamut, clamping would change the light; less colour keeps it.
    room_above = (1 - luma) / chroma.amax(dim=1, keepdim=True).clamp(min=1e-6)
    room_below = luma / (-chroma.amin(dim=1, keepdim=True)).clamp(min=1e-6)
    return luma + chroma * room_above.minimum(room_below).clamp(0, 1)


def sharpen(pictures: Tensor, _context: FilterContext, *, radius: float, amount: float) -> Tensor:
    """Add what a Gaussian blur of standard deviation ``radius`` takes away."""
    return pictures + amount * (pictures - _blur(pictures, radius))


def vignette(pictures: Tensor, _context: FilterContext, *, strength: float, softness: float) -> Tensor:
    """Darken by the distance from the centre, as a share of the distance to the corners."""
    import torch

    height, width = pictures.shape[-2:]
    y = (torch.arange(height, device=pictures.device) + 0.5) * (2 / height) - 1  # (H,) in (-1, 1)
    x = (torch.arange(width, device=pictures.device) + 0.5) * (2 / width) - 1  # (W,)
    distance = (y[:, None].square() + x.square()).div(2).sqrt()  # (H, W), 1 in the corners
    ramp = ((distance - (1 - softness)) / softness).clamp(0, 1)
    return pictures * (1 - strength * ramp.square() * (3 - 2 * ramp))


def _luma(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.unbind(dim=1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]  # (N, 1, H, W)


def _blur(pictures: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian, one axis after the other, the edge pixels repeated outwards."""
    import torch
    from torch.nn.functional import conv2d, pad

    reach = math.ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # (3, 1, 1, K)
    pictures = conv2d(pad(pictures, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    return conv2d(pad(pictures, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=3)

"""Random numbers as a picture: noise to dream from, and the grain of a film; both drawn from the job's seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters.blocks import Block, by_blocks
from deepdream_plugins.builtin.filters.blurring import blurred, gaussian
from deepdream_plugins.builtin.filters.luma import luma_of
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_GRAIN = 0x47_52_41_49_4E  # so that grain on a dream of noise is not that noise once more


def noise(
    pictures: Tensor, context: FilterContext, *, side: int, level: float, spread: float, falloff: float
) -> Tensor:
    """Return noise drawn from the job's seed: each of ``(N, 3, H, W)``, or ``(N, 3, side, side)``, the same.

    White noise is uniform. The amplitudes of any other are divided by the frequency to the power of ``falloff``, and it
    deviates from ``level`` as much as white noise of that ``spread`` does; lucid begins with a ``falloff`` of 1 (Olah,
    Mordvintsev and Schubert, "Feature Visualization", Distill, 2017), which natural pictures have. What lies beyond
    black or white is clipped there.
    """
    import torch

    size = (side, side) if side else (pictures.shape[-2], pictures.shape[-1])
    drawn = torch.rand((3, *size), generator=torch.Generator().manual_seed(context.seed)).sub_(0.5)
    if falloff:
        drawn = _fallen_off(drawn, falloff)
    drawn.mul_(spread / 255).add_(level / 255).clamp_(0, 1)
    return drawn.to(pictures.device).expand(len(pictures), -1, -1, -1).clone()


def _fallen_off(white: Tensor, falloff: float) -> Tensor:
    """Return ``white`` ``(3, H, W)`` with amplitudes that fall off with the frequency, no mean, and all its power."""
    import torch

    height, width = white.shape[-2:]
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))  # (H, W // 2 + 1)
    kept = frequency.clamp_min(1 / max(height, width)).pow_(-falloff)
    kept[0, 0] = 0
    coloured: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * kept, s=(height, width))
    # Of one pixel nothing is left.
    return coloured.mul_(white.std(correction=0) / coloured.std(correction=0).clamp_min(1e-12))


def film_grain(pictures: Tensor, context: FilterContext, *, strength: float, size: float, colour: bool) -> Tensor:
    """Add normally distributed noise, blurred to grains of ``size`` pixels, whose deviation depends on the luma.

    Grains either cover a place or they do not, so the deviation follows ``sqrt(luma (1 - luma))``: the most in the
    mid-tones, none on black and white (the Boolean model of Newson et al., "A Stochastic Film Grain Model for
    Resolution-Independent Rendering", Computer Graphics Forum, 2017).
    """
    import torch

    weights = gaussian(size / 2)
    reach = len(weights) // 2
    height, width = pictures.shape[-2:]
    planes = 3 if colour else 1
    generator = torch.Generator().manual_seed(context.seed ^ _GRAIN)
    drawn = torch.randn((1, planes, height + 2 * reach, width + 2 * reach), generator=generator).to(pictures.device)
    # A weighted sum of independent numbers deviates by the root of the sum of squares, once for each axis.
    deviation = sum(weight * weight for weight in weights)
    scale = 2 * strength / 255 / deviation  # the root is 1/2 in the mid-tones

    def grained(block: Block) -> Tensor:
        _, channels, rows, columns = block
        inner = (slice(rows.start + reach, rows.stop + reach), slice(columns.start + reach, columns.stop + reach))
        grains = blurred(drawn, (slice(0, 1), channels, *inner), weights)  # (1, planes, h, w)
        luma = luma_of(pictures[block])
        return pictures[block] + grains * (luma * (1 - luma)).clamp_(min=0).sqrt_().mul_(scale)

    return by_blocks(pictures, grained, reach=reach)


NOISE = FilterSpec(
    name="noise",
    help="Noise in place of the picture, for dreams that are made from nothing",
    apply=noise,
    options=(
        Option(
            name="side",
            type=int,
            default=0,
            minimum=0,
            maximum=32768,
            help="of a square, in pixels; 0 is the picture's own size",
        ),
        Option(name="level", type=float, default=127.5, minimum=0, maximum=255, help="its mean, in 8-bit levels"),
        Option(
            name="spread",
            type=float,
            default=20.0,
            minimum=0,
            maximum=255,
            help="how many levels there are between its darkest and its brightest values; nearly all, with a falloff",
        ),
        Option(
            name="falloff",
            type=float,
            default=0.0,
            minimum=0,
            maximum=3,
            help="how much finer detail is weaker: 0 is white noise, even in all sizes; 1 is as in photos, with clouds",
        ),
    ),
)
FILM_GRAIN = FilterSpec(
    name="film_grain",
    help="The grain of a film, strongest in the mid-tones",
    apply=film_grain,
    options=(
        Option(
            name="strength",
            type=float,
            default=8.0,
            minimum=0,
            maximum=64,
            help="its standard deviation in the mid-tones, in 8-bit levels",
        ),
        Option(name="size", type=float, default=1.5, minimum=0.5, maximum=20, help="of a grain, in pixels"),
        Option(
            name="colour", type=bool, default=False, help="whether red, green and blue have grains of their own each"
        ),
    ),
)

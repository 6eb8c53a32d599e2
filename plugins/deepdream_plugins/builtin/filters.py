"""The built-in filters: before the dream, one that bounds the work and one that puts noise in the picture's place; four
after it that finish the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

_SERIAL = 32_768
"""Torch spreads work on more elements over its threads. While other pictures are being dreamt, each such operation
waits for a core, which takes longer than the work; on fewer elements, one thread works in its own cache."""
_BLOCK_WIDTH = 256
Block = tuple[slice, slice, slice, slice]
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
    yield FilterSpec(
        name="noise",
        help="Even noise in place of the picture, for dreams that are made from nothing",
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
                help="how many levels there are between its darkest and its brightest values",
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
    return interpolate(pictures, size, mode="bicubic", antialias=True).clamp_(0, 1)  # (N, 3, h, w)


def noise(pictures: Tensor, context: FilterContext, *, side: int, level: float, spread: float) -> Tensor:
    """Return uniform noise drawn from the job's seed: each of ``(N, 3, H, W)``, or ``(N, 3, side, side)``, the same.

    What lies beyond black or white is clipped there.
    """
    import torch

    size = (side, side) if side else pictures.shape[-2:]
    drawn = torch.rand((3, *size), generator=torch.Generator().manual_seed(context.seed))
    drawn.sub_(0.5).mul_(spread / 255).add_(level / 255).clamp_(0, 1)
    return drawn.to(pictures.device).expand(len(pictures), -1, -1, -1).clone()


def blend(pictures: Tensor, context: FilterContext, *, amount: float) -> Tensor:
    """Mix linearly with the source."""
    return pictures.lerp(context.source, amount)


def keep_colours(pictures: Tensor, context: FilterContext, *, amount: float) -> Tensor:
    """Move the dream's chroma towards the source's; the dream's luma stays as it is.

    In YCbCr, ``(Cb, Cr)`` is ``RGB - luma`` up to two constant factors, so swapping that difference is the
    same.
    """

    def recoloured(block: Block) -> Tensor:
        dream, source = pictures[block], context.source[block]  # (N, 3, h, w)
        luma = _luma(dream)
        chroma = (dream - luma).lerp_(source - _luma(source), amount)
        # Where light and colour together leave the gamut, clamping would change the light; less colour keeps it.
        room_above = (1 - luma) / chroma.amax(dim=1, keepdim=True).clamp_(min=1e-6)
        room_below = luma / chroma.amin(dim=1, keepdim=True).neg_().clamp_(min=1e-6)
        return chroma.mul_(room_above.minimum(room_below).clamp_(0, 1)).add_(luma)

    return _by_blocks(pictures, recoloured)


def sharpen(pictures: Tensor, _context: FilterContext, *, radius: float, amount: float) -> Tensor:
    """Add what a Gaussian blur of standard deviation ``radius`` takes away."""
    weights = _gaussian(radius)

    def sharpened(block: Block) -> Tensor:
        return _blurred(pictures, block, weights).sub_(pictures[block]).mul_(-amount).add_(pictures[block])

    return _by_blocks(pictures, sharpened, reach=len(weights) // 2)


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

    return _by_blocks(pictures, darkened)


def _by_blocks(pictures: Tensor, change: Callable[[Block], Tensor], *, reach: int = 0) -> Tensor:
    """Return ``change(block)`` of every part of ``(N, 3, H, W)``, in [0, 1].

    The numbers on the way are those of one block, so a filter holds no more than its input and its output. ``reach``
    is how many pixels around a block are worked on with it.
    """
    count, _, height, width = pictures.shape
    across = min(width, _BLOCK_WIDTH)
    room = max(1, _SERIAL // (3 * (across + 2 * reach)))  # rows
    down = room - 2 * reach if room > 4 * reach else room  # a far reach makes even small blocks' surroundings large
    result = pictures.new_empty(pictures.shape)
    for index in range(count):
        for top in range(0, height, down):
            for left in range(0, width, across):
                rows, columns = slice(top, min(top + down, height)), slice(left, min(left + across, width))
                block = (slice(index, index + 1), slice(None), rows, columns)
                result[block] = change(block).clamp_(0, 1)
    return result


def _luma(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.unbind(dim=1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]  # (N, 1, H, W)


def _gaussian(sigma: float) -> list[float]:
    reach = math.ceil(3 * sigma)
    weights = [math.exp(-(at**2) / (2 * sigma**2)) for at in range(-reach, reach + 1)]
    return [weight / sum(weights) for weight in weights]


def _blurred(pictures: Tensor, block: Block, weights: list[float]) -> Tensor:
    """Blur a block along one axis after the other, the edge pixels of the picture repeated outwards.

    Sums of shifted blocks take less memory than convolutions of three channels, and a fraction of their time.
    """
    import torch

    index, _, rows, columns = block
    reach = len(weights) // 2
    around, beyond = pictures[index], []
    for axis, span in ((-2, rows), (-1, columns)):
        length = pictures.shape[axis]
        first, last = max(0, span.start - reach), min(length, span.stop + reach)
        around = around.narrow(axis, first, last - first)
        if last - first < span.stop - span.start + 2 * reach:
            wanted = torch.arange(span.start - reach, span.stop + reach, device=pictures.device)
            beyond.append((axis, wanted.clamp_(0, length - 1) - first))
    for axis, wanted in beyond:  # after both cuts, so that no more than the block is copied
        around = around.index_select(axis, wanted)
    return _weighted(_weighted(around, -2, weights), -1, weights)  # (1, 3, h + 2 reach, w + 2 reach) to (1, 3, h, w)


def _weighted(pictures: Tensor, axis: int, weights: list[float]) -> Tensor:
    """Return the weighted sum of the windows along ``axis``, which becomes shorter by ``len(weights) - 1``."""
    length = pictures.shape[axis] - len(weights) + 1
    total = pictures.narrow(axis, 0, length) * weights[0]
    for start, weight in enumerate(weights[1:], 1):
        total.add_(pictures.narrow(axis, start, length), alpha=weight)
    return total

"""Locks: a dream keeps the brightness, the contrast or the whole distribution of its source's colours.

Each step pulls the colours a little; over many octaves, or frames that are dreamt from each other, they drift to grey,
to neon or to white. :func:`hold` takes them back, channel by channel, with one rising, continuous curve for all values
of a channel, so that equal values stay equal and a gradient stays a gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.levels import Levels, Stretched, Values, chunks
from deepdream_engine.records import LOCKS

_LEVEL = 1 / 255
_CLOSE = 1e-7  # of the full scale: how exactly means and contrasts are met
_STEPS = 60  # at most, to get there
_NOISE = 1e-5  # of the full scale: float32's rounding, which is no distribution that could be matched to another
_FLAT = 1e-9  # the gain in place of 0, by which levels cannot be divided
_MOST = 4.0  # times the gain without clipping: where few values remain unclipped, contrast would need any gain


def hold(picture: Tensor, source: Tensor, lock: str) -> Tensor:
    """Return ``picture`` ``(1, 3, H, W)`` with what ``lock`` names taken from ``source`` ``(1, 3, h, w)``, of any size;
    both in [0, 1].

    ``mean`` shifts each channel to the source's mean; ``mean+contrast`` also stretches it to the source's standard
    deviation; after clipping to [0, 1] both still hold, within 0.1 levels. ``histogram`` gives each channel the
    source's distribution. ``none`` returns ``picture`` itself. A picture without contrast cannot be given any: it
    becomes the source's mean, and one with less than a level of it is stretched as if it had one, so that noise is not.

    Takes one picture more of memory, for the result, and 64 MiB. The distribution is matched by the cumulative
    histogram of 65,536 bins rather than by sorting: that needs no memory for ranks, and does not tear equal values
    apart, which would paint ramps on clipped skies; so where the picture is flat, it stays flat, and the distribution
    is the source's elsewhere. Every value gets the mean of the source's values at the ranks of
    its bin, so the means of source and result are equal, and between bins the curve is linear. Values are read, which
    waits for the device: this is for the ends of octaves, not for the step loop.

    Raises ``BadOption`` for a lock that is none.
    """
    if lock not in LOCKS:
        raise BadOption(unknown("lock", lock, LOCKS))
    if lock == "none":
        return picture
    held = torch.empty_like(picture)
    for target, plane, model in zip(held[0], picture[0], source[0], strict=True):
        levels, wanted = Levels.of(plane), Levels.of(model)
        if lock == "histogram" and levels.contrast > _NOISE:
            _apply_curve(levels.means, wanted.means_between(levels.ranks()), plane, into=target)
            # Straight lines between few and far bins miss the mean by a little.
            target.add_(_shift(Stretched(Levels.of(target)), 1.0, wanted.mean)).clamp_(0, 1)
        else:
            stretch = Stretched(levels)
            gain = 1.0 if lock != "mean+contrast" else _gain(stretch, levels.contrast, wanted)
            shift = _shift(stretch, gain, wanted.mean)
            torch.mul(plane, gain, out=target).add_(shift).clamp_(0, 1)
    return held


def _gain(stretch: Stretched, contrast: float, wanted: Levels) -> float:
    """Return what makes the contrast that is wanted, the mean being held.

    Clipping takes contrast away, so this is at least the quotient of the two; the contrast rises with it.
    """
    least = wanted.contrast / max(contrast, _LEVEL)
    if least == 0:
        return _FLAT
    if contrast < _LEVEL:
        return least

    def excess(gain: float) -> float:
        return stretch.contrast(gain, _shift(stretch, gain, wanted.mean)) - wanted.contrast

    return _zero(excess, least, least * _MOST)


def _shift(stretch: Stretched, gain: float, mean: float) -> float:
    """Return what makes the mean that is wanted."""
    return _zero(lambda shift: stretch.mean(gain, shift) - mean, -gain, 1.0)


def _zero(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses zero between ``low`` and ``high``, or the end that is nearer to it.

    Regula falsi in the Illinois variant: always between the ends, and a handful of steps where clipping does little.
    """
    below, above = rising(low), rising(high)
    if below > -_CLOSE:
        return low
    if above < _CLOSE:
        return high
    side = 0
    for _ in range(_STEPS):
        middle = high - above * (high - low) / (above - below)
        value = rising(middle)
        if abs(value) < _CLOSE:
            return middle
        if value < 0:
            low, below = middle, value
            above /= 2 if side < 0 else 1
            side = -1
        else:
            high, above = middle, value
            below /= 2 if side > 0 else 1
            side = 1
    return (low + high) / 2


def _apply_curve(xs: Values, ys: Values, plane: Tensor, *, into: Tensor) -> None:
    """Map ``plane`` ``(H, W)`` by straight lines between the points ``(xs, ys)``, and level beyond them."""
    at, to = (torch.from_numpy(part).to(plane.device, plane.dtype) for part in (xs, ys))
    last = len(xs) - 1
    for part, target in zip(chunks(plane), chunks(into), strict=True):
        index = torch.searchsorted(at, part.contiguous(), right=True).sub_(1).clamp_(min=0)  # (h, w)
        after = (index + 1).clamp_(max=last)
        start = at[index]
        # Points may lie so close that only a share, held between 0 and 1, keeps rounding from overshooting.
        share = (part - start).div_((at[after] - start).clamp_(min=torch.finfo(plane.dtype).tiny)).clamp_(0, 1)
        torch.lerp(to[index], to[after], share, out=target)

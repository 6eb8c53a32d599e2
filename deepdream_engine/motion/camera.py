"""The camera: a picture zoomed, turned and moved, by a kernel that keeps it sharp over hundreds of frames.

A film that zooms in resamples each frame from the one before, so whatever a kernel does to fine detail is done again
and again. After 50 zooms of 1 %, a picture whose detail is four pixels wide differs from one that was zoomed once by
so many levels (root mean square): bilinear 14.3, Lanczos's kernel of three lobes 7.7, Catmull and Rom's spline 2.9,
Kaiser's window on a sinc (radius 4, beta 6) 0.9, and (radius 5, beta 7) 0.3, which it is; with detail of two pixels
24, 11.2, 15.7, 1.2 and 0.6. So it is as good as a camera that would remember where it began, and it carries along
what was dreamt on the way. What is asked for beyond the picture's borders is its mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.motion.timeline import Motion

_BAND = 2**18  # values of one colour that are gathered at once
_STILL = 1e-12
_RADIUS, _BETA = 5, 7.0


def _sinc(distance: Tensor) -> Tensor:
    """What bandlimited pictures are made of, in Kaiser's window."""
    window = torch.special.i0(_BETA * (1 - (distance / _RADIUS) ** 2).clamp_(min=0).sqrt_())
    shape = torch.sinc(distance) * window / torch.special.i0(distance.new_tensor(_BETA))
    return torch.where(distance.abs() < _RADIUS, shape, 0.0)


def _bicubic(distance: Tensor) -> Tensor:
    """Catmull and Rom's spline."""
    far = distance.abs()
    near = (1.5 * far - 2.5) * far * far + 1
    beyond = ((-0.5 * far + 2.5) * far - 4) * far + 2
    return torch.where(far < 1, near, torch.where(far < 2, beyond, 0.0))


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp_(min=0)


KERNELS: Mapping[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "sinc": (_sinc, _RADIUS),
    "bicubic": (_bicubic, 2),
    "bilinear": (_bilinear, 1),
}
"""Each with how many pixels it reaches to either side."""


def moved(picture: Tensor, motion: Motion, *, kernel: str = "sinc") -> Tensor:
    """Return ``picture`` ``(3, H, W)`` as the camera sees it after ``motion``, in [0, 1].

    A flat picture stays exactly as bright as it is. Where the picture shrinks, the kernel widens, so that nothing
    flickers. Raises ``BadOption`` for a kernel that is none, and a zoom that is not positive.
    """
    if kernel not in KERNELS:
        raise BadOption(unknown("kernel", kernel, list(KERNELS)))
    if not (math.isfinite(motion.zoom) and motion.zoom > 0):
        raise BadOption(f"zoom {motion.zoom:g}: a frame grows by a factor above 0; 1 leaves it as it is.")
    if motion.zoom == 1 and motion.degrees == 0 and motion.pan == (0, 0):
        return picture
    height, width = picture.shape[1:]
    angle = math.radians(motion.degrees)
    cosine, sine = math.cos(angle) / motion.zoom, math.sin(angle) / motion.zoom
    # The pixel in column x and row y is the source's at x' = cosine x + sine y + right, y' = cosine y - sine x + down.
    across, below = motion.centre[0] * width - 0.5, motion.centre[1] * height - 0.5
    right = across + motion.pan[0] * width - cosine * across - sine * below
    down = below + motion.pan[1] * height - cosine * below + sine * across
    sampler = _Sampler(kernel, min(1.0, motion.zoom))
    if abs(sine) < _STILL:
        rows = _places(height, picture) * cosine + down
        columns = _places(width, picture) * cosine + right
        return sampler.along(sampler.along(picture, rows, 1), columns, 2).clamp_(0, 1)
    seen = torch.empty_like(picture)
    band = max(1, _BAND // width)
    x = _places(width, picture)
    for top in range(0, height, band):
        y = _places(height, picture)[top : top + band, None]  # (h, 1)
        seen[:, top : top + band] = sampler.gathered(
            picture, cosine * y - sine * x + down, cosine * x + sine * y + right
        )
    return seen.clamp_(0, 1)


def _places(count: int, like: Tensor) -> Tensor:
    """Return 0 … count - 1, precise enough for places between pixels."""
    return torch.arange(count, dtype=torch.float64, device=like.device)


class _Sampler:
    """A kernel, widened for pictures that shrink by ``scale``."""

    def __init__(self, kernel: str, scale: float) -> None:
        self._weigh, reach = KERNELS[kernel]
        self._scale = scale
        self._reach = math.ceil(reach / scale)

    def along(self, picture: Tensor, places: Tensor, dim: int) -> Tensor:
        """Return the values ``(3, H, W)`` at ``places`` ``(n,)`` along one axis."""
        indices, weights = self._taps(places, picture.shape[dim])  # (taps, n) each
        weights = weights.to(picture.dtype)
        shape = (1, -1, 1) if dim == 1 else (1, 1, -1)
        total: Tensor | None = None
        for index, weight in zip(indices, weights, strict=True):
            part = picture.index_select(dim, index).mul_(weight.view(shape))
            total = part if total is None else total.add_(part)
        assert total is not None  # a kernel has taps
        return total

    def gathered(self, picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the values ``(3, h, w)`` at ``rows`` and ``columns`` ``(h, w)``."""
        height, width = picture.shape[1:]
        down, down_weights = self._taps(rows, height)  # (taps, h, w)
        across, across_weights = self._taps(columns, width)
        down_weights, across_weights = down_weights.to(picture.dtype), across_weights.to(picture.dtype)
        flat = picture.reshape(len(picture), -1)
        total = picture.new_zeros((len(picture), *rows.shape))
        for row, row_weight in zip(down, down_weights, strict=True):
            line = torch.zeros_like(total)
            for column, weight in zip(across, across_weights, strict=True):
                line.addcmul_(flat.index_select(1, (row * width + column).flatten()).view_as(line), weight)
            total.addcmul_(line, row_weight)
        return total

    def _taps(self, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return which of ``count`` values each place is made of, and their shares, which add up to 1."""
        first = torch.floor(places).long() - self._reach + 1
        offsets = torch.arange(2 * self._reach, device=places.device).view(-1, *[1] * places.ndim)
        index = first + offsets  # (taps, …)
        weights = self._weigh((index - places) * self._scale)
        at = index.remainder(2 * count)  # mirrored, border pixels and all
        return torch.minimum(at, 2 * count - 1 - at), weights / weights.sum(0)

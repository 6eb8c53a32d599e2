"""Small separable filters for gradients: Gaussian blur, and the two directions of a Laplacian pyramid.

They add shifted copies in bands that fit a CPU's cache: with one channel in and one out, torch's convolutions take
several times as long there, and in float64 they unfold the whole picture in memory.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

_BAND = 2**18  # values per band


def blurred(planes: Tensor, sigma: float, *, into: Tensor, radius_px: int = 0, colours: bool = False) -> None:
    """Add ``planes`` ``(C, H, W)``, blurred with a Gaussian of ``sigma`` pixels, to ``into``, which is as large.

    As ``scipy.ndimage.gaussian_filter`` has it: the kernel is cut at four sigmas (or ``radius_px``) and the border is
    mirrored with its pixels. ``colours`` blurs along the first axis too.
    """
    radius = radius_px or int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    weights = [weight / sum(weights) for weight in weights]
    channels, height, width = planes.shape
    rows, columns = (_mirrored(side, radius, planes.device) for side in (height, width))
    # The rows around a band are copied with it, so it should not be thinner than they are.
    band = max(2 * radius, _BAND // (channels * width), 1)
    for top, bottom in pairwise([*range(0, height, band), height]):
        around = planes.index_select(1, rows[top : bottom + 2 * radius])  # (C, h + 2r, W)
        seen = correlate(around, weights, dim=1).index_select(2, columns)  # (C, h, W + 2r)
        done = correlate(seen, weights, dim=2)  # (C, h, W)
        target = into[:, top:bottom]
        if not colours:
            target += done
            continue
        for channel, mix in enumerate(_mixing(channels, weights)):
            for other, weight in enumerate(mix):
                target[channel].add_(done[other], alpha=weight)


def correlate(padded: Tensor, weights: list[float], dim: int) -> Tensor:
    """Return ``(C, H, W)``, shorter by ``len(weights) - 1`` along ``dim``: each value the weighted sum of those from it
    on."""
    if padded.is_cuda:  # where one kernel launch for each weight takes longer than the convolution
        return convolved(padded, _kernel(tuple(weights), padded.dtype, padded.device), dim)
    size = padded.shape[dim] - len(weights) + 1
    total = padded.narrow(dim, 0, size) * weights[0]
    for start, weight in enumerate(weights[1:], 1):
        total.add_(padded.narrow(dim, start, size), alpha=weight)
    return total


@cache
def _kernel(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the weights on the device; they are copied there once, since copying waits for the device."""
    return torch.tensor(weights, dtype=dtype, device=device)


def convolved(padded: Tensor, kernel: Tensor, dim: int) -> Tensor:
    """Return what :func:`correlate` does, by torch's convolution; ``kernel`` is ``(K,)``."""
    shape = (1, 1, -1, 1) if dim == 1 else (1, 1, 1, -1)
    return functional.conv2d(padded[:, None], kernel.view(shape))[:, 0]


def laplacian_down(pictures: Tensor) -> Tensor:
    """Blur ``(N, C, H, W)`` with [1, 4, 6, 4, 1] / 16 along both axes and keep every other value: ``(N, C, ceil(H / 2),
    ceil(W / 2))``. Zeros surround the picture, as with TensorFlow's ``SAME`` padding."""
    for dim in (2, 3):
        padded = _zeros_around(pictures, dim, _same_before(pictures.shape[dim]))
        kept = (pictures.shape[dim] + 1) // 2
        pictures = _every_other(padded, dim, 2, kept) * (6 / 16)
        for start, weight in ((0, 1), (1, 4), (3, 4), (4, 1)):
            pictures.add_(_every_other(padded, dim, start, kept), alpha=weight / 16)
    return pictures


def laplacian_up(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge what :func:`laplacian_down` has made of pictures of ``size``, by its transpose times 4."""
    for dim, length in ((3, size[1]), (2, size[0])):
        padded = _zeros_around(pictures, dim, 2)
        shape = list(pictures.shape)
        shape[dim] = length
        pictures = padded.new_empty(shape)
        # Every other output value meets the three even ones of the five weights, the rest meet the two odd ones.
        for first in (0, 1):
            count = (length + 1 - first) // 2
            target = _every_other(pictures, dim, first, count)
            at, odd = divmod(first + _same_before(length), 2)
            below, centre, above = (padded.narrow(dim, at + offset, count) for offset in range(3))
            if odd:
                torch.add(centre, above, out=target).mul_(4 / 8)
            else:
                torch.add(below, above, out=target).add_(centre, alpha=6).mul_(1 / 8)
    return pictures


def _same_before(size: int) -> int:
    """Return how many zeros ``SAME`` puts before ``size`` values, for five weights and every other value."""
    return 1 if size % 2 == 0 else 2


def _zeros_around(pictures: Tensor, dim: int, before: int) -> Tensor:
    return functional.pad(pictures, (before, 2, 0, 0) if dim == 3 else (0, 0, before, 2))


def _every_other(pictures: Tensor, dim: int, start: int, count: int) -> Tensor:
    taken = slice(start, start + 2 * count, 2)
    return pictures[..., taken] if dim == 3 else pictures[:, :, taken]


def _mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    """Return which of ``size`` values stand at -radius … size + radius - 1 when both ends are mirrors."""
    at = torch.arange(-radius, size + radius, device=device).remainder(2 * size)
    return torch.minimum(at, 2 * size - 1 - at)


def _mixing(channels: int, weights: list[float]) -> list[list[float]]:
    """Return the matrix that blurs along ``channels`` values with mirrors at both ends."""
    radius = len(weights) // 2
    matrix = [[0.0] * channels for _ in range(channels)]
    for channel, row in enumerate(matrix):
        for offset, weight in enumerate(weights, -radius):
            at = (channel + offset) % (2 * channels)
            row[min(at, 2 * channels - 1 - at)] += weight
    return matrix

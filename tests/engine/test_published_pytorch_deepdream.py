"""pytorch-deepdream (Gordić, 2020), against the recipe of its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from deepdream_engine import Engine

from .published import SEED, Eye, Picture, clipped, drawn_shifts, resized, rolled, shrunk, tell, unrolled


def gaussian_smoothing(grad: Picture, sigma: float) -> Picture:
    """A kernel of 9 × 9 pixels, colour by colour."""
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (1, 2):
        grad = correlate1d(grad, kernel, axis=axis, mode="reflect")
    return grad


def deep_dream_static_image(source: Picture, layer: str, pyramid_size: int, iterations: int) -> Picture:
    """The program's dream, its step of 0.09 counted as 5.2 levels."""
    eye, random = Eye(layer), torch.Generator().manual_seed(SEED)
    base = np.array(source.shape[1:])
    rounded = [np.round(base * 1.8 ** (level - pyramid_size + 1)).astype(int) for level in range(pyramid_size)]
    sizes = [(int(h), int(w)) for h, w in rounded]
    img = shrunk(source, sizes)[0]
    for new_shape in sizes:
        img = resized(img, new_shape)
        for iteration, shift in enumerate(drawn_shifts(random, 32, iterations)):
            grad, _ = eye.climb(rolled(img, shift), lambda seen: seen[layer].square().mean())
            sigma = (iteration + 1) / iterations * 2.0 + 0.5
            grad = unrolled(grad, shift)
            smooth = np.mean([gaussian_smoothing(grad, factor * sigma) for factor in (0.5, 1.0, 2.0)], axis=0)
            img = clipped(img + 5.2 * (smooth - smooth.mean()) / smooth.std())
    return img


def test_pytorch_deepdream_is_the_programs_dream(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    changes = {"objective": {"layer": "mixed4b"}, "octaves": 2}
    told = tell(engine, "pytorch-deepdream", clouds(80, 104), changes)
    expected = deep_dream_static_image(told.source, "mixed4b", pyramid_size=2, iterations=10)
    told.assert_is(expected, moved=6)

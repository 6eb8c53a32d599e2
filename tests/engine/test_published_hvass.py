"""Hvass's TensorFlow tutorial 14 (2016), against the recipe ``hvass``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deepdream_engine import Engine

from .published import Eye, Picture, clipped, resized, tell


def optimize_image(eye: Eye, layer: str, img: Picture, num_iterations: int) -> Picture:
    for i in range(num_iterations):
        grad, _ = eye.climb(img, lambda seen: seen[layer].square().mean())
        grad = grad / (np.std(grad) + 1e-8)
        sigma = (i * 4.0) / num_iterations + 0.5
        grad = gaussian_filter(grad, sigma) + gaussian_filter(grad, sigma * 2) + gaussian_filter(grad, sigma * 0.5)
        img = clipped(img + grad * (3.0 / (np.std(grad) + 1e-8)))
    return img


def recursive_optimize(eye: Eye, layer: str, image: Picture, num_repeats: int, num_iterations: int) -> Picture:
    """The tutorial's recursion, without its blur of half a pixel."""
    if num_repeats > 0:
        smaller = resized(image, (int(image.shape[1] * 0.7), int(image.shape[2] * 0.7)))
        smaller = recursive_optimize(eye, layer, smaller, num_repeats - 1, num_iterations)
        image = 0.2 * image + (1.0 - 0.2) * resized(smaller, image.shape[1:])
    return optimize_image(eye, layer, image, num_iterations)


def test_hvass_is_the_tutorials_dream(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    changes = {"objective": {"layer": "mixed4b"}, "octaves": 3, "steps": 4}
    told = tell(engine, "hvass", clouds(89, 113), changes)
    told.assert_is(recursive_optimize(Eye("mixed4b"), "mixed4b", told.source, 2, 4), moved=4)

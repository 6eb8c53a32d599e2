"""TensorFlow's DeepDream notebook (Mordvintsev, 2016) and its tutorial (2019), against the recipes of their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepdream_engine import Engine

from .published import SEED, Eye, Picture, Seen, clipped, drawn_shifts, resized, rolled, shrunk, tell, unrolled

Clouds = Callable[..., Tensor]


def render_deepdream(source: Picture, layer: str, jitter: int, iter_n: int) -> Picture:
    """The notebook's dream of ``mean(square(layer))``, which keeps the detail of each octave apart; without
    the 1e-7 that it adds to its divisor."""
    eye, random = Eye(layer), torch.Generator().manual_seed(SEED)
    img, octaves = source, []
    for _ in range(4 - 1):
        hw = (int(img.shape[1] / 1.4), int(img.shape[2] / 1.4))
        lo = resized(img, hw)
        octaves.append(img - resized(lo, img.shape[1:]))
        img = lo
    for octave in range(4):
        if octave > 0:
            hi = octaves[-octave]
            img = resized(img, hi.shape[1:]) + hi
        for shift in drawn_shifts(random, jitter, iter_n):
            g, _ = eye.climb(rolled(img, shift), lambda seen: seen[layer].square().mean())
            g = unrolled(g, shift)
            img = clipped(img + g * (1.5 / np.abs(g).mean()))
    return img


def test_tf_is_the_notebooks_dream(engine: Engine, clouds: Clouds) -> None:
    told = tell(engine, "tf", clouds(97, 128), {"objective": {"layer": "mixed4c"}, "steps": 4})
    told.assert_is(render_deepdream(told.source, "mixed4c", jitter=256, iter_n=4), moved=3)


def halving(length: int) -> NDArray[np.float64]:
    """The notebook's 5-tap filter with stride 2 along one axis, as a matrix; zeros lie beyond the ends."""
    shorter = -(-length // 2)
    before = max((shorter - 1) * 2 + 5 - length, 0) // 2
    matrix = np.zeros((shorter, length))
    for row in range(shorter):
        for tap, weight in enumerate((1, 4, 6, 4, 1)):
            column = 2 * row + tap - before
            if 0 <= column < length:
                matrix[row, column] = weight / 16
    return matrix


def lap_normalize(g: Picture, scale_n: int) -> Picture:
    """Split into bands, divide each by its root mean square, and merge them."""
    levels, splits = [], []
    for _ in range(scale_n):
        down, right = halving(g.shape[1]), halving(g.shape[2])
        lo = down @ g @ right.T
        levels.append(g - (2 * down.T) @ lo @ (2 * right))
        splits.append((down, right))
        g = lo
    levels = [band / max(np.sqrt(np.square(band).mean()), 1e-10) for band in [*levels, g]]
    img = levels.pop()
    while levels:
        down, right = splits.pop()
        img = (2 * down.T) @ img @ (2 * right) + levels.pop()
    return img


def render_lapnorm(noise: Picture, layer: str, channel: int, jitter: int, iter_n: int) -> Picture:
    """The notebook's picture of one channel, made from noise that is as small as the first octave."""
    eye, random = Eye(layer), torch.Generator().manual_seed(SEED)
    img = noise
    for octave in range(3):
        if octave > 0:
            img = resized(img, (int(img.shape[1] * 1.4), int(img.shape[2] * 1.4)))
        for shift in drawn_shifts(random, jitter, iter_n):
            g, _ = eye.climb(rolled(img, shift), lambda seen: seen[layer][:, channel].mean())
            img = clipped(img + lap_normalize(unrolled(g, shift), 4) * 1.0)
    return img


def test_tf_lapnorm_is_the_notebooks_picture_of_a_channel(engine: Engine, clouds: Clouds) -> None:
    changes = {
        "objective": {"layer": "mixed4b", "channel": 12},
        "prefilters": [{"name": "noise", "side": 109, "level": 100.5, "spread": 1}],
        "steps": 6,
    }
    told = tell(engine, "tf-lapnorm", clouds(40, 50), changes)
    assert told.source.shape == (3, 109, 109)
    noise = shrunk(told.source, [(56, 56), (78, 78), (109, 109)])[0]
    told.assert_is(render_lapnorm(noise, "mixed4b", 12, jitter=256, iter_n=6), moved=3)


def run_deep_dream_with_octaves(source: Picture, layers: tuple[str, str], steps: int) -> Picture:
    """The tutorial's dream, in [-1, 1]."""
    eye, random = Eye(*layers), torch.Generator().manual_seed(SEED)

    def calc_loss(seen: Seen) -> Tensor:
        return torch.stack([seen[layer].mean() for layer in layers]).sum()

    base_shape = source.shape[1:]
    sizes = [(int(base_shape[0] * 1.3**n), int(base_shape[1] * 1.3**n)) for n in range(-2, 3)]
    img = shrunk(source, sizes[:3])[0] / 127.5 - 1
    for new_size in sizes:
        img = resized(img, new_size)
        for shift in drawn_shifts(random, 512, steps):
            g, _ = eye.climb(rolled((img + 1) * 127.5, shift), calc_loss)
            g = unrolled(g / 2, shift)  # of [-1, 1]
            g /= g.std() + 1e-8
            img = np.clip(img + g * 0.01, -1, 1)
    return (resized(img, base_shape) + 1) * 127.5


def test_tf_tutorial_is_the_tutorials_dream(engine: Engine, clouds: Clouds) -> None:
    terms = {"mixed3": {"layer": "mixed4a"}, "mixed5": {"layer": "mixed4c"}}
    told = tell(engine, "tf-tutorial", clouds(60, 77), {"terms": terms, "steps": 3})
    told.assert_is(run_deep_dream_with_octaves(told.source, ("mixed4a", "mixed4c"), steps=3), moved=2)

"""The engine makes what Google's published algorithm makes.

``google_deepdream`` is that algorithm (the DeepDream notebook of Mordvintsev, Olah and Tyka, 2015) written straight
down with NumPy, SciPy and a whole, unfolded network: it shares no code with the engine. (``mode="nearest"`` differs
from the notebook's default only where SciPy's own rounding puts the last row outside the picture and blackens it.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.ndimage as nd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepdream_engine import DreamJob, Engine, Program, Schedule

from .conftest import DREAMNET, TINY, layer_l2
from .published import MEAN, SEED, STD, plain, tell


def google_deepdream(
    picture: NDArray[np.float64], net: nn.Module, end: str, seed: int, octave_n: int, iter_n: int
) -> NDArray[np.float64]:
    """Return the dream of ``picture`` ``(3, H, W)`` in 8-bit levels, with 1.4 between octaves and steps of 1.5."""
    seen: dict[str, Tensor] = {}
    net.get_submodule(end).register_forward_hook(lambda _m, _i, out: seen.update(end=out))
    random = torch.Generator().manual_seed(seed)
    octaves = [picture]
    for _ in range(octave_n - 1):
        octaves.append(nd.zoom(octaves[-1], (1, 1.0 / 1.4, 1.0 / 1.4), order=1, mode="nearest"))
    detail = np.zeros_like(octaves[-1])
    for octave, base in enumerate(octaves[::-1]):
        h, w = base.shape[-2:]
        if octave > 0:
            h1, w1 = detail.shape[-2:]
            detail = nd.zoom(detail, (1, 1.0 * h / h1, 1.0 * w / w1), order=1, mode="nearest")
        src = base + detail
        for oy, ox in torch.randint(-32, 33, (iter_n, 2), generator=random).tolist():
            src = np.roll(src, (oy, ox), axis=(-2, -1))
            x = torch.from_numpy(src[None] / 255).requires_grad_()
            net((x - MEAN) / STD)
            (seen["end"] ** 2).sum().mul(0.5).backward()
            assert x.grad is not None
            g = x.grad[0].numpy()
            src = src + 1.5 / np.abs(g).mean() * g
            src = np.roll(src, (-oy, -ox), axis=(-2, -1))
            src = np.clip(src, 0, 255)
        detail = src - base
    return src


def test_the_recipe_equals_googles_published_algorithm_within_two_levels(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    told = tell(engine, "google", clouds(90, 128), {"objective": {"layer": "mixed4c"}})
    told.assert_is(google_deepdream(told.source, plain(DREAMNET), "mixed4c", SEED, octave_n=4, iter_n=10), moved=5)


def test_another_network_equals_googles_published_algorithm_within_two_levels(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    picture = clouds(61, 90)
    schedule = Schedule(octaves=4, octave_scale=1.4, steps=10, step_size=1.5, jitter_px=32)
    program = Program(network=TINY, objective=layer_l2("relu2"), precision="fp64")
    (dream,) = engine.dream([DreamJob(pixels=picture, program=program, schedule=schedule, seed=3)])
    source = picture.double().numpy() * 255
    expected = google_deepdream(source, plain(TINY), "relu2", seed=3, octave_n=4, iter_n=10)
    ours = dream.pixels.numpy() * 255
    assert np.abs(ours - source).mean() > 5, "the dream is the picture"
    assert np.abs(ours.round() - expected.round()).max() <= 2


def test_float32_follows_the_published_algorithm_until_rounding_grows(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    picture = clouds(96, 128)
    schedule = Schedule(octaves=2, steps=2)
    program = Program(network=DREAMNET, objective=layer_l2("mixed4c"))
    (dream,) = engine.dream([DreamJob(pixels=picture, program=program, schedule=schedule, seed=3)])
    source = picture.double().numpy() * 255
    expected = google_deepdream(source, plain(DREAMNET), "mixed4c", seed=3, octave_n=2, iter_n=2)
    assert np.abs(dream.pixels.numpy() * 255 - expected).max() <= 0.5

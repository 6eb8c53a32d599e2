"""neural-dream (ProGamerGov), against the recipe of its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from deepdream_engine import Engine

from .published import SEED, Eye, Picture, drawn_shifts, resized, rolled, tell, unrolled


def neural_dream(source: Picture, layer: str, num_iterations: int, octave_iter: int) -> Picture:
    """All octaves again and again, each with an Adam of its own; the smaller one is enlarged to the whole size."""
    eye, random = Eye(layer), torch.Generator().manual_seed(SEED)
    whole = source.shape[1:]
    current = source
    for _ in range(num_iterations):
        for size in [(int(whole[0] * 0.6), int(whole[1] * 0.6)), whole]:
            img = torch.nn.Parameter(torch.from_numpy(resized(current, size).copy()))
            optimizer = torch.optim.Adam([img], lr=1.5)
            for shift in drawn_shifts(random, 32, octave_iter):
                seen = rolled(img.detach().numpy(), shift)
                gradient, _ = eye.climb(seen, lambda seen: seen[layer].square().sum() / 2)
                img.grad = torch.from_numpy(-unrolled(gradient, shift).copy())
                optimizer.step()
                img.data.clamp_(0, 255)
            current = resized(img.detach().numpy(), whole)
    return np.asarray(current)


def test_neural_dream_is_the_programs_dream(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    changes = {"objective": {"layer": "mixed4b"}, "steps": 5, "repeats": 2}
    told = tell(engine, "neural-dream", clouds(80, 100), changes)
    told.assert_is(neural_dream(told.source, "mixed4b", num_iterations=2, octave_iter=5), moved=4)

"""Keras's DeepDream example (Chollet), against the recipe ``keras``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from deepdream_engine import Engine

from .published import Eye, Picture, Seen, clipped, resized, shrunk, tell

LAYERS = {"mixed4a": 1.0, "mixed4b": 1.5, "mixed4c": 2.0, "mixed4d": 2.5}


def keras_deep_dream(original: Picture, iterations: int, max_loss: float) -> tuple[Picture, list[int]]:
    """Return the dream, and how many steps were taken on each of its three octaves.

    The steps of 0.01 are of [-1, 1].
    """
    eye = Eye(*LAYERS)

    def compute_loss(seen: Seen) -> Tensor:
        losses = [
            coeff * seen[name][:, :, 2:-2, 2:-2].square().sum() / seen[name].numel() for name, coeff in LAYERS.items()
        ]
        return losses[0] + losses[1] + losses[2] + losses[3]

    shape = original.shape[1:]
    shapes = [(int(shape[0] / 1.4**i), int(shape[1] / 1.4**i)) for i in (2, 1, 0)]
    originals = shrunk(original, shapes)
    shrunk_original = img = originals[0]
    counts = []
    for same_size_original in originals:
        shape = same_size_original.shape[1:]
        img = resized(img, shape)
        lost_detail = same_size_original - resized(shrunk_original, shape)
        img = img + lost_detail
        for count in range(1, iterations + 1):  # noqa: B007
            grads, loss = eye.climb(img, compute_loss)
            img = clipped(img + 0.01 * 127.5 * grads / max(np.abs(grads).mean(), 1e-6))
            if loss > max_loss:
                break
        counts.append(count)
        shrunk_original = same_size_original
    return img, counts


def test_keras_is_the_examples_dream_and_stops_where_it_does(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    terms = {f"mixed{4 + index}": {"layer": layer} for index, layer in enumerate(LAYERS)}
    told = tell(engine, "keras", clouds(83, 101), {"terms": terms, "steps": 5, "stop_score": 2.0})
    expected, taken = keras_deep_dream(told.source, iterations=5, max_loss=2.0)
    assert taken == [5, 3, 1]
    told.assert_is(expected, moved=2)

"""The built-in objectives with a guide picture against straight-line versions of what was published."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deepdream_plugins.builtin.objectives import guides
from tests.seeing import gradient_of, look_at, normal, prepared, scored


def objective_guide(dst: np.ndarray, guide_features: np.ndarray) -> np.ndarray:
    """What Google's notebook sets the gradient of a layer ``(C, h, w)`` to."""
    x = dst.reshape(dst.shape[0], -1)
    y = guide_features.reshape(dst.shape[0], -1)
    products = x.T.dot(y)
    return y[:, products.argmax(1)].reshape(dst.shape)


@pytest.mark.parametrize("at_once", [1, 1 << 12, 1 << 24])  # products: one place at a time, some, all
def test_guide_is_googles_whatever_the_guides_sizes(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(guides, "_PRODUCTS_AT_ONCE", at_once)
    seen, shown = normal(2, 7, 6, 5), [normal(1, 7, 3, 4, seed=1), normal(1, 7, 32, 32, seed=2)]
    cells = torch.cat([prepared("guide", look_at(seen[:1], guide))["cells"] for guide in shown])
    gradient = gradient_of(lambda x: scored("guide", x, cells=cells), seen)
    for n in range(2):
        expected = objective_guide(seen[n].numpy(), shown[n][0].numpy())
        np.testing.assert_array_equal(gradient[n].numpy(), expected)


def test_guide_samples_a_large_guide_evenly() -> None:
    rows, columns = torch.meshgrid(torch.arange(90), torch.arange(50), indexing="ij")
    cells = prepared("guide", look_at(normal(1, 2, 4, 4), torch.stack([rows, columns])[None].double()))["cells"][0]
    assert cells.shape == (guides.GUIDE_CELLS, 2)
    for axis, side in ((0, 90), (1, 50)):
        places = np.unique(cells[:, axis].numpy())
        gaps = np.diff(np.concatenate([[-places[0] - 1], places, [2 * side - places[-1] - 1]]))
        assert gaps.max() <= math.ceil(math.sqrt(90 * 50 / guides.GUIDE_CELLS)) + 1


def test_guide_gram_is_the_relative_distance_of_gatys_matrices() -> None:
    seen, guide = normal(1, 3, 4, 5), normal(1, 3, 6, 2, seed=1)

    def gram(features: np.ndarray) -> np.ndarray:
        channels, height, width = features.shape
        matrix = np.zeros((channels, channels))
        for a in range(channels):
            for b in range(channels):
                for y in range(height):
                    for x in range(width):
                        matrix[a, b] += features[a, y, x] * features[b, y, x] / (height * width)
        return matrix

    ours, theirs = gram(seen[0].numpy()), gram(guide[0].numpy())
    expected = -((ours - theirs) ** 2).sum() / (theirs**2).sum()
    options = prepared("guide_gram", look_at(seen, guide))
    assert scored("guide_gram", seen, **options).item() == pytest.approx(expected)
    assert scored("guide_gram", guide.flip(3), **options).item() == pytest.approx(0)
    assert scored("guide_gram", torch.zeros_like(seen), **options).item() == -1


def test_guide_mean_is_the_relative_distance_of_the_channels_means() -> None:
    seen, guide = normal(1, 3, 4, 5), normal(1, 3, 6, 2, seed=1)
    ours, theirs = seen[0].mean(dim=(1, 2)).numpy(), guide[0].mean(dim=(1, 2)).numpy()
    expected = -((ours - theirs) ** 2).sum() / (theirs**2).sum()
    options = prepared("guide_mean", look_at(seen, guide))
    assert scored("guide_mean", seen, **options).item() == pytest.approx(expected)
    assert scored("guide_mean", guide, **options).item() == pytest.approx(0)

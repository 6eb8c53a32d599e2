"""The demo's sky is a sky: blue, with lit and shaded clouds, and always the same."""

from __future__ import annotations

import numpy as np

from deepdream_daemon.oneshot.sky import paint_sky


def test_it_is_a_picture_of_the_size_asked_for() -> None:
    sky = paint_sky(320, 180, seed=3)
    assert sky.shape == (180, 320, 3)
    assert sky.dtype == np.float32
    assert sky.min() >= 0
    assert sky.max() <= 1


def test_the_same_seed_paints_the_same_sky_and_another_one_another() -> None:
    assert np.array_equal(paint_sky(160, 90, seed=1), paint_sky(160, 90, seed=1))
    assert not np.array_equal(paint_sky(160, 90, seed=1), paint_sky(160, 90, seed=2))


def test_there_are_clouds_in_the_blue_and_structure_in_the_clouds() -> None:
    sky = paint_sky(512, 288, seed=0)[:240]
    blue = sky[..., 2] - sky[..., 0]
    clouds = blue < 0.15
    assert (blue > 0.3).mean() > 0.2
    assert 0.15 < clouds.mean() < 0.7
    assert sky[clouds].mean(axis=-1).std() > 0.05

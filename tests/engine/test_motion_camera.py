"""The camera: where pixels go, that flat stays flat, and how much detail is left after many moves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepdream_engine.errors import BadOption
from deepdream_engine.motion.camera import KERNELS, moved
from deepdream_engine.motion.timeline import Motion


def ramp(height: int, width: int) -> Tensor:
    """Brightness that rises to the right in red and downwards in green."""
    right = torch.linspace(0.3, 0.7, width).expand(height, width)
    down = torch.linspace(0.3, 0.7, height)[:, None].expand(height, width)
    return torch.stack([right, down, torch.full((height, width), 0.5)])


def middle(picture: Tensor, border: int = 8) -> Tensor:
    return picture[:, border:-border, border:-border]


def sharpness(picture: Tensor) -> float:
    """Mean size of the Laplacian."""
    grey = middle(picture).mean(0)
    inner = grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return inner.abs().mean().item()


def test_a_camera_that_stands_still_changes_nothing(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(24, 32)
    assert torch.equal(moved(picture, Motion(centre=(0.1, 0.9))), picture)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("motion", [Motion(zoom=1.05), Motion(zoom=0.6, degrees=20), Motion(pan=(0.3, -0.2))])
def test_a_flat_picture_keeps_its_brightness_whatever_the_camera_does(kernel: str, motion: Motion) -> None:
    picture = torch.full((3, 24, 32), 0.37)
    assert torch.allclose(moved(picture, motion, kernel=kernel), picture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_zooming_flattens_slopes_about_the_centre(kernel: str) -> None:
    picture = ramp(40, 64)
    seen = moved(picture, Motion(zoom=2.0, centre=(0.25, 0.75)), kernel=kernel)
    assert middle(seen)[0].diff(dim=1).mean() == pytest.approx(0.4 / 63 / 2, rel=0.02)
    # The centre lies on the corner of four pixels, whose mean does not change.
    for channel in (0, 1):
        before, after = (each[channel, 29:31, 15:17].mean() for each in (picture, seen))
        assert after == pytest.approx(before.item(), abs=2e-4)


def test_a_quarter_turn_is_clockwise(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(33, 33)
    assert torch.allclose(moved(picture, Motion(degrees=90)), picture.rot90(-1, (1, 2)), atol=1e-5)


def test_panning_moves_the_view_right_and_down_and_mirrors_what_is_beyond(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(20, 40)
    seen = moved(picture, Motion(pan=(0.1, 0.25)))
    assert torch.allclose(seen[:, :15, :36], picture[:, 5:, 4:], atol=1e-5)
    assert torch.allclose(seen[:, :15, 36:], picture[:, 5:, 36:].flip(2), atol=1e-5)


def test_turning_takes_the_same_way_as_not_turning(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(30, 50)
    still, turned = (moved(picture, Motion(zoom=1.3, degrees=angle, pan=(0.02, 0.01))) for angle in (0, 1e-6))
    assert torch.allclose(still, turned, atol=1e-5)


def test_there_and_back_is_where_it_was(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(64, 64)
    there = moved(picture, Motion(zoom=1.25, degrees=30, centre=(0.4, 0.6)))
    back = moved(there, Motion(zoom=0.8, degrees=-30, centre=(0.4, 0.6)))
    assert (middle(back, 20) - middle(picture, 20)).abs().max() * 255 < 4


def test_detail_that_is_too_fine_vanishes_when_the_picture_shrinks() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(64).expand(3, 32, 128).contiguous()
    seen = middle(moved(stripes, Motion(zoom=0.4)), 2)
    assert (seen[:, :, 40:80] - 0.5).abs().max() < 0.06, "it became coarse stripes"


@pytest.mark.parametrize("cells", [24, 48], ids=["four pixels", "two pixels"])
def test_fifty_zooms_keep_detail_as_one_would(cells: int) -> None:
    """All fifty at once is what a camera would see that remembered where it began."""
    coarse = 0.25 + 0.5 * torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(coarse, (96, 96), mode="bicubic").clamp(0, 1)[0]
    at_once = middle(moved(picture, Motion(zoom=1.01**50)), 12)
    apart, sharp = {}, {}
    for kernel in KERNELS:
        seen = picture
        for _ in range(50):
            seen = moved(seen, Motion(zoom=1.01), kernel=kernel)
        seen = middle(seen, 12)
        apart[kernel] = (seen - at_once).square().mean().sqrt().item() * 255
        sharp[kernel] = sharpness(seen) / sharpness(at_once)
    assert apart["sinc"] < 1, apart
    assert sharp["sinc"] == pytest.approx(1, abs=0.02), sharp
    assert apart["bilinear"] > apart["bicubic"] > 2, apart
    assert sharp["bilinear"] < 0.6, sharp


def test_large_pictures_are_turned_band_by_band(monkeypatch: pytest.MonkeyPatch, clouds: Callable[..., Tensor]) -> None:
    picture, motion = clouds(50, 60), Motion(zoom=1.1, degrees=7)
    whole = moved(picture, motion)
    monkeypatch.setattr("deepdream_engine.motion.camera._BAND", 600)
    assert torch.equal(moved(picture, motion), whole)


@pytest.mark.parametrize("zoom", [0, -1, math.inf, math.nan])
def test_a_zoom_that_is_none_is_refused(zoom: float) -> None:
    with pytest.raises(BadOption, match="zoom"):
        moved(torch.zeros(3, 8, 8), Motion(zoom=zoom))


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(BadOption, match="Did you mean 'bicubic'"):
        moved(torch.zeros(3, 8, 8), Motion(zoom=2), kernel="bicubical")

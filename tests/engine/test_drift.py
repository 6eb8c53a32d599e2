"""Locks keep what they name, to a tenth of a level, over hundreds of rounds, and tear nothing apart."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deepdream_engine import levels
from deepdream_engine.drift import hold
from deepdream_engine.errors import BadOption

KEEPING = ("mean", "mean+contrast", "histogram")


def clouds(height: int, width: int, seed: int = 0, power: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.rand(1, 3, 3 * 2**i, 3 * 2**i, generator=generator) / 2**i for i in range(4)]
    parts = [functional.interpolate(layer, (height, width), mode="bicubic") for layer in layers]
    return (torch.stack(parts).sum(0) / 1.875).clamp(0, 1) ** power


def means(picture: Tensor) -> Tensor:
    return picture.double().mean(dim=(2, 3))[0] * 255


def contrasts(picture: Tensor) -> Tensor:
    return picture.double().std(dim=(2, 3), correction=0)[0] * 255


@pytest.mark.parametrize("lock", KEEPING)
@pytest.mark.parametrize("power", [0.2, 1.0, 5.0])  # bright, like the source, dark: the latter two clip
@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_the_mean_is_the_sources_after_clipping(lock: str, power: float, gain: float) -> None:
    source = clouds(70, 90, 1)
    drifted = ((clouds(64, 81, 2, power) - 0.5) * gain + 0.5).clamp(0, 1)
    assert (means(drifted) - means(source)).abs().max() > 1
    held = hold(drifted, source, lock)
    assert held.shape == drifted.shape
    assert held.min() >= 0
    assert held.max() <= 1
    assert (means(held) - means(source)).abs().max() < 0.1


@pytest.mark.parametrize("lock", ["mean+contrast", "histogram"])
def test_the_contrast_is_the_sources_after_clipping(lock: str) -> None:
    source = ((clouds(70, 90, 1) - 0.5) * 3 + 0.5).clamp(0, 1)  # of a contrast that others only reach by clipping
    # What is clipped flat already cannot be spread to the source's values without tearing equal values apart.
    for gain in (0.2, 1.0, 4.0) if lock == "mean+contrast" else (0.2, 1.0):
        held = hold(((clouds(64, 81, 2) - 0.5) * gain + 0.5).clamp(0, 1), source, lock)
        assert (contrasts(held) - contrasts(source)).abs().max() < 0.2


def test_the_mean_lock_leaves_the_contrast_alone() -> None:
    source, drifted = clouds(70, 90, 1) * 0.2 + 0.4, clouds(64, 81, 2) * 0.3 + 0.2
    torch.testing.assert_close(contrasts(hold(drifted, source, "mean")), contrasts(drifted))


def test_the_histogram_is_the_sources_in_every_quantile() -> None:
    source, drifted = clouds(200, 300, 1, 2.0), clouds(150, 160, 2)
    held = hold(drifted, source, "histogram")
    at = torch.linspace(0.001, 0.999, 101)
    for ours, wanted in zip(held[0], source[0], strict=True):
        difference = ours.flatten().quantile(at) - wanted.flatten().quantile(at)
        assert difference.abs().max() * 255 < 0.5


def test_the_histogram_lock_gives_ranks_the_sources_values() -> None:
    # As matching by sorting does, where no two values are equal.
    source = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(1)) ** 2
    drifted = torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(2))
    held = hold(drifted, source, "histogram")
    for ours, before, wanted in zip(held[0], drifted[0], source[0], strict=True):
        expected = torch.empty(2000)
        expected[before.flatten().argsort()] = wanted.flatten().sort().values
        assert (ours.flatten() - expected).abs().max() * 255 < 1
        assert (ours.flatten() - expected).abs().mean() * 255 < 0.01


@pytest.mark.parametrize("lock", KEEPING)
def test_a_picture_locked_to_itself_stays_as_it_is(lock: str) -> None:
    source = clouds(64, 81)
    assert (hold(source, source, lock) - source).abs().max() * 255 < 0.05


@pytest.mark.parametrize("lock", KEEPING)
def test_smooth_pictures_stay_smooth_and_equal_values_equal(lock: str) -> None:
    ramp = torch.linspace(0.3, 0.7, 2000).clamp(0.4, 0.65).expand(1, 3, 8, 2000)  # flat at both ends
    held = hold(ramp, clouds(60, 60), lock)
    assert (held.diff(dim=3) >= 0).all()
    assert torch.equal(held[:, :, 0], held[:, :, 7])
    assert (held[..., :500] == held[..., :1]).all()
    inner = held[0, 0, 0, 520:1730]
    assert inner.unique().numel() > 1100  # of 1210 values: no bands
    assert inner.diff().max() * 255 < 2


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    value=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    noise=st.sampled_from([0.0, 1e-7, 1e-3]),
    lock=st.sampled_from(KEEPING),
    other=st.sampled_from([0.0, 0.2, 1.0, None]),
)
@settings(max_examples=80, deadline=None)
def test_even_pictures_and_sources_of_any_size_get_the_mean(
    height: int, width: int, value: float, noise: float, lock: str, other: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    picture = (value + noise * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)
    source = clouds(9, 7) if other is None else torch.full((1, 3, 4, 5), other)
    held = hold(picture, source, lock)
    assert held.isfinite().all()
    assert (means(held) - means(source)).abs().max() < 0.1
    if lock != "histogram":  # which gives even faint differences the source's
        assert contrasts(held).max() <= max(1, 256 * noise) * 64


def test_rounding_noise_is_not_stretched_into_a_picture() -> None:
    noisy = 0.5 + 1e-7 * torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert contrasts(hold(noisy, clouds(40, 40), "mean+contrast")).max() < 0.1


def drift(picture: Tensor) -> Tensor:
    """What feedback does to a picture: blur, sharpen more than that, brighten, stretch, clip."""
    kernel = torch.tensor([0.25, 0.5, 0.25])
    weight = (kernel[:, None] * kernel).expand(3, 1, 3, 3)
    soft = functional.conv2d(functional.pad(picture, (1,) * 4, mode="reflect"), weight, groups=3)
    sharp = soft + 1.5 * (soft - functional.avg_pool2d(soft, 9, 1, 4, count_include_pad=False))
    tint = torch.tensor([1.02, 1.0, 0.97]).view(1, 3, 1, 1)
    return (sharp * tint + 0.004).clamp(0, 1)


@pytest.mark.parametrize("lock", KEEPING)
def test_two_hundred_rounds_of_feedback_keep_the_mean_within_a_level(lock: str) -> None:
    source = clouds(40, 56, 3)
    picture = source
    worst = 0.0
    for _ in range(200):
        picture = hold(drift(picture), source, lock)
        worst = max(worst, float((means(picture) - means(source)).abs().max()))
    assert worst < 0.1
    if lock != "mean":
        assert (contrasts(picture) - contrasts(source)).abs().max() < 1


def test_without_a_lock_two_hundred_rounds_drift_far() -> None:
    source = clouds(40, 56, 3)
    picture = source
    for _ in range(200):
        picture = hold(drift(picture), source, "none")
    assert (means(picture) - means(source)).abs().min() > 2
    assert (means(picture) - means(source)).abs().max() > 20
    assert (contrasts(picture) - contrasts(source)).abs().min() > 20


@pytest.mark.parametrize("lock", KEEPING)
def test_large_pictures_are_held_in_bands_and_come_out_the_same(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, picture = clouds(60, 50, 1), clouds(64, 81, 2)
    whole = hold(picture, source, lock)
    monkeypatch.setattr(levels, "CHUNK", 300)
    assert torch.equal(hold(picture, source, lock), whole)


def test_float64_pictures_stay_float64() -> None:
    for lock in KEEPING:
        held = hold(clouds(20, 30).double(), clouds(30, 20, 1).double(), lock)
        assert held.dtype == torch.float64
        assert (means(held) - means(clouds(30, 20, 1))).abs().max() < 0.1


def test_no_lock_returns_the_picture_and_the_others_do_not_touch_it() -> None:
    for dtype in (torch.float32, torch.float64):
        picture, source = clouds(20, 30).to(dtype), clouds(20, 30, 1).to(dtype)
        assert hold(picture, source, "none") is picture
        for lock in KEEPING:
            hold(picture, source, lock)
        assert torch.equal(picture, clouds(20, 30).to(dtype))
        assert torch.equal(source, clouds(20, 30, 1).to(dtype))


def test_an_unknown_lock_is_refused() -> None:
    with pytest.raises(BadOption, match=r"unknown lock 'colour'.*Valid: none, mean, mean\+contrast, histogram"):
        hold(clouds(4, 4), clouds(4, 4), "colour")

"""The ascents are the published ones. The references are written straight down with NumPy and SciPy from the published
algorithms; they share no code with the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage as nd
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deepdream_engine import ascents, resampling
from deepdream_engine.errors import BadOption
from deepdream_engine.records import Step

Picture = NDArray[np.float64]  # (H, W, 3), as the published scripts have it
ASCENTS: dict[str, Callable[..., Tensor]] = {
    name: getattr(ascents, name) for name in ("mean_abs", "std", "smooth", "lapnorm", "momentum", "adam")
}
ON_SPECTRA = {name: ascent for name, ascent in ASCENTS.items() if name not in ("smooth", "lapnorm")}
SIZES = [(24, 31), (37, 20), (3, 50), (64, 64)]


def step(index: int = 0, count: int = 10) -> Step:
    return Step(index=index, count=count, octave=0)


def noise(height: int, width: int, seed: int = 0) -> Picture:
    random = np.random.default_rng(seed)
    return nd.gaussian_filter(random.normal(size=(height, width, 3)), (2, 2, 0)) + random.normal(
        0.05, 0.1, size=(height, width, 3)
    )


def tensor(picture: Picture, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].to(dtype)


def array(direction: Tensor) -> Picture:
    return direction[0].double().numpy().transpose(1, 2, 0)


# Google's notebook


@pytest.mark.parametrize("size", SIZES)
def test_mean_abs_is_that_of_googles_notebook(size: tuple[int, int]) -> None:
    g = noise(*size) * 1e-5
    np.testing.assert_allclose(array(ascents.mean_abs(tensor(g), {}, step())), g / np.abs(g).mean(), rtol=1e-9)


# TensorFlow's tutorial


@pytest.mark.parametrize("size", SIZES)
def test_std_is_that_of_tensorflows_tutorial(size: tuple[int, int]) -> None:
    for strength in (1.0, 1e-8):
        g = noise(*size) * strength
        expected = g / (np.sqrt(((g - g.mean()) ** 2).mean()) + 1e-8)
        np.testing.assert_allclose(array(ascents.std(tensor(g), {}, step())), expected, rtol=1e-9)


# Hvass's tutorial 14


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("i", [0, 4, 9])
def test_smooth_is_that_of_hvass_tutorial_14(size: tuple[int, int], i: int) -> None:
    grad = noise(*size)
    sigma = (i * 4.0) / 10 + 0.5
    smooth1 = nd.gaussian_filter(grad, sigma=sigma)
    smooth2 = nd.gaussian_filter(grad, sigma=sigma * 2)
    smooth3 = nd.gaussian_filter(grad, sigma=sigma * 0.5)
    total = smooth1 + smooth2 + smooth3
    expected = total * (1 / (np.std(total) + 1e-8))
    actual = array(ascents.smooth(tensor(grad), {}, step(i)))
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    actual = array(ascents.smooth(tensor(grad, torch.float32), {}, step(i)))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_smooth_with_options_is_pytorch_deepdreams_cascade_within_its_borders() -> None:
    grad = noise(90, 80)
    iteration, count = 6, 10
    sigma = ((iteration + 1) / count) * 2.0 + 0.5
    offsets = np.arange(9) - 4
    padded = np.pad(grad, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    total = np.zeros_like(grad)
    for coefficient in (0.5, 1.0, 2.0):
        line = np.exp(-((offsets / (coefficient * sigma)) ** 2) / 2)
        kernel = np.outer(line, line) / np.outer(line, line).sum()
        for channel in range(3):
            total[..., channel] += nd.correlate(padded[..., channel], kernel)[4:-4, 4:-4] / 3
    expected = (total - total.mean()) / total.std(ddof=1)
    options = {"rise": 2.0, "floor": 0.5 + 2.0 / count, "colours": False, "radius_px": 4, "centre": True}
    actual = array(ascents.smooth(tensor(grad), {}, step(iteration, count), **options))
    # The borders differ (which pixel the mirror stands at), and through them mean and deviation a little.
    np.testing.assert_allclose(actual[4:-4, 4:-4], expected[4:-4, 4:-4], rtol=0.02, atol=0.02)


def test_blurring_a_large_picture_band_by_band_is_the_same_as_blurring_it_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planes = tensor(noise(150, 70))[0]
    whole, bands = torch.zeros_like(planes), torch.zeros_like(planes)
    resampling.blurred(planes, 3.0, into=whole, colours=True)
    monkeypatch.setattr(resampling, "_BAND", 1)
    resampling.blurred(planes, 3.0, into=bands, colours=True)
    torch.testing.assert_close(bands, whole)


@pytest.mark.parametrize("dim", [1, 2])
def test_correlation_is_the_convolution_that_devices_use(dim: int) -> None:
    planes = tensor(noise(20, 30))[0]
    weights = [0.1, 0.5, -0.2, 0.4]
    by_convolution = resampling.convolved(planes, torch.tensor(weights, dtype=torch.float64), dim)
    torch.testing.assert_close(resampling.correlate(planes, weights, dim), by_convolution)


# TensorFlow's notebook

K5X5 = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def tf_same(size: int) -> tuple[int, int]:
    """Output size, and zeros before, of a 5-wide window with stride 2 and SAME padding, from TensorFlow's manual."""
    out = -(-size // 2)
    return out, max((out - 1) * 2 + 5 - size, 0) // 2


def tf_conv2d(img: Picture) -> Picture:
    (h, top), (w, left) = tf_same(img.shape[0]), tf_same(img.shape[1])
    padded = np.pad(img, ((top, 4), (left, 4), (0, 0)))
    out = np.zeros((h, w, 3))
    for y in range(h):
        for x in range(w):
            out[y, x] = np.tensordot(K5X5, padded[2 * y : 2 * y + 5, 2 * x : 2 * x + 5], axes=2)
    return out


def tf_conv2d_transpose(img: Picture, like: Picture) -> Picture:
    h, w = like.shape[:2]
    (_, top), (_, left) = tf_same(h), tf_same(w)
    out = np.zeros((h + 9, w + 9, 3))
    for y in range(img.shape[0]):
        for x in range(img.shape[1]):
            out[2 * y : 2 * y + 5, 2 * x : 2 * x + 5] += 4 * K5X5[..., None] * img[y, x]
    return out[top : top + h, left : left + w]


def lap_normalize(img: Picture, scale_n: int) -> Picture:
    levels = []
    for _ in range(scale_n):
        lo = tf_conv2d(img)
        levels.append(img - tf_conv2d_transpose(lo, img))
        img = lo
    levels = [level / max(np.sqrt((level**2).mean()), 1e-10) for level in [*levels, img]][::-1]
    img = levels[0]
    for hi in levels[1:]:
        img = tf_conv2d_transpose(img, hi) + hi
    return img


@pytest.mark.parametrize("size", [*SIZES, (33, 1), (2, 17)])
@pytest.mark.parametrize("levels", [1, 4])
def test_lapnorm_is_that_of_tensorflows_notebook(size: tuple[int, int], levels: int) -> None:
    g = noise(*size)
    expected = lap_normalize(g, levels)
    np.testing.assert_allclose(array(ascents.lapnorm(tensor(g), {}, step(), levels=levels)), expected, atol=1e-9)
    actual = array(ascents.lapnorm(tensor(g, torch.float32), {}, step(), levels=levels))
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_lapnorm_colour_by_colour_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    g = tensor(noise(33, 40))
    expected = ascents.lapnorm(g.clone(), {}, step())
    monkeypatch.setattr(ascents, "_WHOLE", 0)
    assert torch.equal(ascents.lapnorm(g.clone(), {}, step()), expected)


# Momentum and Adam


def test_momentum_is_the_published_one_divided_by_its_weights() -> None:
    state: dict[str, Tensor] = {}
    accumulated, weights = np.zeros((9, 8, 3)), 0.0
    for t in range(6):
        g = noise(9, 8, seed=t)
        accumulated = 0.8 * accumulated + g / np.abs(g).mean()  # Dong et al., equation 6, with the mean for the sum
        weights = 0.8 * weights + 1
        actual = array(ascents.momentum(tensor(g), state, step(t), decay=0.8))
        np.testing.assert_allclose(actual, accumulated / weights, rtol=1e-9, atol=1e-12)


def test_with_momentum_steps_keep_their_size_while_gradients_agree_and_shrink_where_they_do_not() -> None:
    agreeing: dict[str, Tensor] = {}
    opposed: dict[str, Tensor] = {}
    g = tensor(noise(9, 8))
    for t in range(20):
        same = ascents.momentum(g.clone(), agreeing, step(t))
        torn = ascents.momentum(g * (-1) ** t, opposed, step(t))
    assert float(same.abs().mean()) == pytest.approx(1)
    assert float(torn.abs().mean()) < 0.2


def test_adam_is_the_published_one_uphill() -> None:
    state: dict[str, Tensor] = {}
    m = v = np.zeros((9, 8, 3))
    for t in range(1, 8):
        g = noise(9, 8, seed=t) * 1e-3
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        expected = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        actual = array(ascents.adam(tensor(g), state, step(t - 1)))
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


def test_adam_is_torchs_own_maximising() -> None:
    values = torch.zeros(1, 3, 5, 4, 2, requires_grad=True)
    optimiser = torch.optim.Adam([values], lr=0.05, maximize=True)
    ours, state = torch.zeros(1, 3, 5, 4, 2), {}
    for t in range(5):
        values.grad = torch.randn(1, 3, 5, 4, 2, generator=torch.Generator().manual_seed(t))
        ours += 0.05 * ascents.adam(values.grad.clone(), state, step(t))
        optimiser.step()
    torch.testing.assert_close(ours, values.detach())


# All of them


@pytest.mark.parametrize("name", ASCENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gradient_gives_no_direction(name: str, dtype: torch.dtype) -> None:
    state: dict[str, Tensor] = {}
    for t in range(2):
        direction = ASCENTS[name](torch.zeros(1, 3, 9, 12, dtype=dtype), state, step(t))
        assert torch.equal(direction, torch.zeros(1, 3, 9, 12, dtype=dtype))


@pytest.mark.parametrize("name", ASCENTS)
@pytest.mark.parametrize("strength", [1e-45, 1e-38, 1e-30, 1e-9, 1.0, 1e12])
def test_any_strength_of_gradient_gives_a_finite_direction(name: str, strength: float) -> None:
    for g in (tensor(noise(9, 12), torch.float32), torch.ones(1, 3, 9, 12)):
        assert ASCENTS[name](g * strength, {}, step()).isfinite().all()


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1e-37), (torch.float64, 1e-306)])
def test_mean_abs_steps_as_far_with_the_weakest_gradients(dtype: torch.dtype, least: float) -> None:
    g = tensor(noise(9, 12), dtype)
    g /= g.abs().mean()
    torch.testing.assert_close(ascents.mean_abs(g * least, {}, step()), g, rtol=1e-4, atol=1e-4)


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    value=st.floats(-1, 1, width=32),
    name=st.sampled_from(sorted(ASCENTS)),
    index=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_size_gives_a_finite_direction_of_the_same_size(
    height: int, width: int, value: float, name: str, index: int
) -> None:
    g = torch.full((1, 3, height, width), value)
    g[0, 0, 0, 0] += 1
    direction = ASCENTS[name](g, {}, step(index))
    assert direction.shape == (1, 3, height, width)
    assert direction.isfinite().all()


def test_sums_over_many_values_keep_their_digits() -> None:
    many = torch.full((1, 1, 4096, 4096), 0.1)  # one float32 sum of so many loses a third
    torch.testing.assert_close(ascents.mean_abs(many, {}, step())[0, 0, 0, :5], torch.ones(5), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ON_SPECTRA)
def test_spectra_are_ascended_too(name: str) -> None:
    direction = ON_SPECTRA[name](torch.randn(1, 3, 7, 5, 2, generator=torch.Generator().manual_seed(0)), {}, step())
    assert direction.shape == (1, 3, 7, 5, 2)
    assert direction.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(ASCENTS) - set(ON_SPECTRA)))
def test_what_needs_neighbouring_pixels_refuses_spectra(name: str) -> None:
    with pytest.raises(BadOption, match=rf"ascent '{name}' .*canvas"):
        ASCENTS[name](torch.randn(1, 3, 7, 5, 2), {}, step())


def test_smooth_refuses_a_blur_of_nothing() -> None:
    with pytest.raises(BadOption, match=r"factors \[0.0\]"):
        ascents.smooth(torch.randn(1, 3, 7, 5), {}, step(), factors=(0.0,))


class Watch(TorchDispatchMode):
    """Notes what reads values, and the largest new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.largest = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if "local_scalar_dense" in str(func) or "nonzero" in str(func):
            self.reads.append(str(func))
        given = {a.untyped_storage().data_ptr() for a in [*args, *(kwargs or {}).values()] if isinstance(a, Tensor)}
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.untyped_storage().data_ptr() not in given:
            self.largest = max(self.largest, out.untyped_storage().nbytes() // out.element_size())
        return out


@pytest.mark.parametrize("name", ASCENTS)
def test_no_value_is_read_in_the_step_loop(name: str) -> None:
    g = tensor(noise(20, 20), torch.float32)
    with Watch() as watch:
        ASCENTS[name](g, {}, step(3))
    assert watch.reads == []


@pytest.mark.parametrize(("name", "share"), [("mean_abs", 0.1), ("std", 0.1), ("lapnorm", 0.4), ("smooth", 1.0)])
def test_a_large_gradient_is_not_copied(name: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascents, "_BAND", 2**12)
    monkeypatch.setattr(ascents, "_WHOLE", 2**12)
    monkeypatch.setattr(resampling, "_BAND", 2**12)
    g = tensor(noise(300, 300), torch.float32)
    with Watch() as watch:
        ASCENTS[name](g, {}, step(3))
    assert 0 < watch.largest <= share * g.numel()

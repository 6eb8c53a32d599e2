"""The Fourier canvas is lucid's, starts from any picture, and its gradients are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepdream_engine.canvases import Fourier, make_canvas
from deepdream_engine.errors import BadOption
from deepdream_engine.records import CANVASES, Step

SIZES = [(8, 10), (9, 7), (1, 1), (1, 6), (5, 1), (2, 3)]


def picture(height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("size", [(16, 24), (9, 12), (30, 8)])
def test_is_lucids_fft_image_in_decorrelated_colours(size: tuple[int, int]) -> None:
    # lucid's fft_image and to_valid_rgb, with NumPy; of even width, where the spectrum has the picture's own columns.
    h, w = size
    random = np.random.default_rng(0)
    spectrum = random.normal(size=(3, h, w // 2 + 1)) + 1j * random.normal(size=(3, h, w // 2 + 1))
    freqs = np.sqrt(np.fft.fftfreq(w)[: w // 2 + 1] ** 2 + np.fft.fftfreq(h)[:, None] ** 2)
    scale = 1.0 / np.maximum(freqs, 1.0 / max(w, h)) * np.sqrt(w * h)
    t = np.fft.irfft2(scale * spectrum, s=(h, w)).transpose(1, 2, 0) / 4.0
    root = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    t = (t.reshape(-1, 3) @ (root / np.max(np.linalg.norm(root, axis=0))).T).reshape(h, w, 3)
    expected = 1 / (1 + np.exp(-t))
    parameters = torch.view_as_real(torch.from_numpy(spectrum))[None]
    actual = make_canvas("fourier").picture(parameters, size)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-9)


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_picture_of_any_size_comes_back_from_its_spectrum(height: int, width: int, seed: int) -> None:
    canvas, given_ = make_canvas("fourier"), picture(height, width, seed)
    parameters = canvas.start(given_)
    assert parameters.shape == (1, 3, height, width // 2 + 1, 2)
    assert parameters.dtype == torch.float32
    back = canvas.picture(parameters, (height, width))
    wanted = given_.clamp(0.25 / 255, 254.75 / 255)
    assert (back - wanted).abs().max() * 255 < 0.01


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.5, 0.25, 0.75)])
def test_even_pictures_black_and_white_come_back_within_a_quarter_of_a_level(
    colour: tuple[float, float, float],
) -> None:
    canvas = make_canvas("fourier")
    even = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 33, 50).contiguous()
    parameters = canvas.start(even)
    assert parameters.isfinite().all()
    assert (canvas.picture(parameters, (33, 50)) - even).abs().max() * 255 < 0.26


def test_a_large_picture_comes_back_in_float32() -> None:
    canvas, large = make_canvas("fourier"), picture(601, 1023)
    back = canvas.picture(canvas.start(large), (601, 1023))
    assert (back - large.clamp(0.25 / 255, 254.75 / 255)).abs().max() * 255 < 0.01


@pytest.mark.parametrize("size", SIZES)
def test_the_gradient_pulled_back_is_the_numeric_one(size: tuple[int, int]) -> None:
    canvas = make_canvas("fourier")
    parameters = canvas.start(picture(*size, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: canvas.picture(p, size), parameters)


def test_a_step_moves_low_frequencies_more_than_high_ones() -> None:
    canvas = make_canvas("fourier")
    parameters = canvas.start(torch.full((1, 3, 32, 32), 0.5))
    moved = parameters.clone()
    moved[0, 0, 1, 1, 0] += 0.1
    low = (canvas.picture(moved, (32, 32)) - 0.5).abs().mean()
    moved = parameters.clone()
    moved[0, 0, 12, 12, 0] += 0.1
    high = (canvas.picture(moved, (32, 32)) - 0.5).abs().mean()
    assert low > 5 * high


def test_adam_on_the_spectrum_dreams_towards_a_picture() -> None:
    from deepdream_engine.ascents import adam

    canvas, wanted = make_canvas("fourier"), picture(15, 21, 1) / 2 + 0.25
    parameters, state = canvas.start(torch.full((1, 3, 15, 21), 0.5)), {}
    distances = []
    for index in range(60):
        view = parameters.detach().requires_grad_()
        score = -(canvas.picture(view, (15, 21)) - wanted).square().sum()
        distances.append(-score.item())
        direction = adam(torch.autograd.grad(score, view)[0], state, Step(index=index, count=60, octave=0))
        parameters = parameters + 12.75 / 255 * direction
    assert distances[-1] < 0.2 * distances[0]


def test_the_pixel_canvas_is_the_picture_itself() -> None:
    canvas, given_ = make_canvas("pixels"), picture(5, 6)
    assert canvas.start(given_) is given_
    assert canvas.picture(given_, (5, 6)) is given_


def test_canvases_are_made_by_name() -> None:
    assert [make_canvas(name).is_pixels for name in CANVASES] == [True, False]
    assert isinstance(make_canvas("fourier"), Fourier)
    with pytest.raises(BadOption, match=r"'furier'. Did you mean 'fourier'\? Valid: pixels, fourier"):
        make_canvas("furier")

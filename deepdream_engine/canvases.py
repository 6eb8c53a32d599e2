"""Canvases: what an ascent changes, and how it becomes a picture.

:class:`Pixels` is the picture itself. :class:`Fourier` is the spectrum of a picture with decorrelated colours, on which
steps change low frequencies as easily as high ones: lucid's (Olah, Mordvintsev and Schubert, "Feature Visualization",
Distill, 2017). There the parameters are not colours, and the step size is not in levels: lucid's Adam with a rate of
0.05 is the ascent ``adam`` with a step size of 12.75 (0.05 × 255).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption, unknown

_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""The square root of the correlation of ImageNet's colours, by singular value decomposition: lucid's numbers. Rows are
R, G, B; columns are roughly light, blue to red, and purple to green."""

_DAMPING = 4.0
"""lucid's divisor, which brings pictures from random spectra into the range of the sigmoid."""

_EDGE = 0.25 / 255
"""How close to black and white a picture may start: the sigmoid never reaches them, and hardly moves near them."""


class Canvas(Protocol):
    """``start`` finds the parameters that ``picture`` makes a given picture of; the way back is differentiable."""

    is_pixels: bool

    def start(self, picture: Tensor) -> Tensor:
        """Return real parameters for ``picture`` ``(1, 3, H, W)`` in [0, 1], which is given away."""
        ...

    def picture(self, parameters: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the picture ``(1, 3, *size)`` in [0, 1] that ``parameters`` stand for."""
        ...


class Pixels:
    """The parameters are the picture ``(1, 3, H, W)``; the engine clamps them to [0, 1]."""

    is_pixels = True

    def start(self, picture: Tensor) -> Tensor:
        """Return the picture itself."""
        return picture

    def picture(self, parameters: Tensor, size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Return the parameters themselves."""
        return parameters


class Fourier:
    """The parameters are ``(1, 3, H, W // 2 + 1, 2)``: real and imaginary parts, each divided by what natural pictures
    have at its frequency.

    Differs from lucid where the width is odd: lucid makes a picture one column wider and cuts it, this one has exactly
    the frequencies of the width, so that every picture has parameters. From ``start`` to ``picture``, values from 0.25
    to 254.75 levels change by less than 0.01 levels in float32; those beyond are moved there.
    """

    is_pixels = False

    def start(self, picture: Tensor) -> Tensor:
        """Return the spectrum of ``picture`` ``(1, 3, H, W)``."""
        logits = picture.clamp(_EDGE, 1 - _EDGE).logit_()
        from_rgb = _like(torch.linalg.inv(_to_rgb()), picture)
        decorrelated = torch.einsum("dc,nchw->ndhw", from_rgb, logits)  # (1, 3, H, W)
        size = (picture.shape[2], picture.shape[3])
        spectrum = torch.fft.rfft2(decorrelated)  # (1, 3, H, W // 2 + 1)
        return torch.view_as_real(spectrum).mul_(_DAMPING).div_(_expected(size, picture)[..., None])

    def picture(self, parameters: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the sigmoid of the transformed spectrum: every value lies strictly between 0 and 1."""
        spectrum = torch.view_as_complex(parameters * (_expected(size, parameters) / _DAMPING)[..., None])
        decorrelated = torch.fft.irfft2(spectrum, s=size)  # (1, 3, H, W)
        return torch.einsum("cd,ndhw->nchw", _like(_to_rgb(), parameters), decorrelated).sigmoid()


def make_canvas(name: str) -> Canvas:
    """Return the canvas called ``name``, or raise ``BadOption``."""
    kinds: dict[str, type[Pixels] | type[Fourier]] = {"pixels": Pixels, "fourier": Fourier}
    if name not in kinds:
        raise BadOption(unknown("canvas", name, list(kinds)))
    return kinds[name]()


def _expected(size: tuple[int, int], like: Tensor) -> Tensor:
    """Return the amplitude ``(H, W // 2 + 1)`` that each frequency has in pictures of ``size``, up to a factor.

    Natural pictures fall off as one over the frequency. The root of the number of pixels makes the transform keep
    lengths, so that step sizes are like those for pixels.
    """
    height, width = size
    down = torch.fft.fftfreq(height, dtype=like.dtype, device=like.device)[:, None]
    across = torch.fft.rfftfreq(width, dtype=like.dtype, device=like.device)
    frequency = torch.hypot(down, across)  # (H, W // 2 + 1), in cycles per pixel
    return frequency.clamp_min_(1 / max(size)).reciprocal_().mul_((height * width) ** 0.5)


def _to_rgb() -> Tensor:
    """Return the matrix ``(3, 3)`` from decorrelated colours to RGB: its longest column has length 1."""
    matrix = torch.tensor(_COLOURS, dtype=torch.float64)
    return matrix.div_(torch.linalg.vector_norm(matrix, dim=0).max())


def _like(matrix: Tensor, other: Tensor) -> Tensor:
    return matrix.to(other.device, other.dtype, non_blocking=True)

"""Transforms: random, differentiable changes of the view before each step, so that what is dreamt survives them.

Every function is ``f(picture, generator, *, options) -> view``: one picture ``(1, 3, H, W)`` in [0, 1] and a CPU
generator, from which all random numbers are drawn, uniformly. They are those of lucid (Olah, Mordvintsev and Schubert,
"Feature Visualization", Distill, 2017), whose usual list is: pad 12 (grey), jitter 8, scale ±10 %, rotate ±10°, jitter
4. Where a view looks beyond the picture it sees it mirrored: an edge there would be dreamt upon.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from deepdream_engine.errors import BadOption, unknown

PAD_MODES = ("reflect", "constant")
_GREY = 0.5


def pad(picture: Tensor, generator: Generator, *, pixels: int = 12, mode: str = "reflect") -> Tensor:  # noqa: ARG001
    """Put ``pixels`` mirrored (``reflect``) or grey (``constant``) pixels around: ``(1, C, H + 2p, W + 2p)``.

    Planes that travel with the picture go on as they end, for grey would be half a mask.

    Raises ``BadOption`` for a mode that is none, and for more mirrored pixels than the picture has besides its border.
    """
    if mode not in PAD_MODES:
        raise BadOption(f"mode: {unknown('mode of pad', mode, PAD_MODES)}")
    if mode == "constant":
        grey = functional.pad(picture[:, :3], (pixels,) * 4, value=_GREY)
        planes = functional.pad(picture[:, 3:], (pixels,) * 4, mode="replicate") if picture.shape[1] > 3 else None
        return grey if planes is None else torch.cat([grey, planes], dim=1)
    height, width = picture.shape[2:]
    if pixels >= min(height, width):
        raise BadOption(
            f"pixels {pixels}: {_size(picture)} can be mirrored by at most {min(height, width) - 1}; "
            f'give fewer, choose mode = "constant", or fewer octaves.'
        )
    return functional.pad(picture, (pixels,) * 4, mode="reflect")


def jitter(picture: Tensor, generator: Generator, *, pixels: int = 8) -> Tensor:
    """Cut a random window that is ``pixels`` smaller along each axis: ``(1, 3, H - p, W - p)``.

    Raises ``BadOption`` if nothing would remain.
    """
    height, width = (side - pixels for side in picture.shape[2:])
    if min(height, width) < 1:
        raise BadOption(f"pixels {pixels}: {_size(picture)} has no more than that; give fewer, or fewer octaves.")
    top, left = torch.randint(0, pixels + 1, (2,), generator=generator).tolist()
    return picture[:, :, top : top + height, left : left + width]


def scale(picture: Tensor, generator: Generator, *, amount: float = 0.1) -> Tensor:
    """Zoom around the centre by a random factor in [1 - amount, 1 + amount]; the view keeps the picture's size.

    Raises ``BadOption`` for an ``amount`` outside [0, 1): a factor of 0 leaves no picture.
    """
    if not 0 <= amount < 1:
        raise BadOption(f"amount {amount:g} of scale is not at least 0 and below 1.")
    factor = 1 + amount * _between_ones(generator)
    return _resampled(picture, ((1 / factor, 0.0), (0.0, 1 / factor)))


def rotate(picture: Tensor, generator: Generator, *, degrees: float = 10.0) -> Tensor:
    """Turn around the centre by a random angle in [-degrees, degrees]; the view keeps the picture's size."""
    angle = math.radians(degrees * _between_ones(generator))
    return _resampled(picture, ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))))


def _between_ones(generator: Generator) -> float:
    """Draw from [-1, 1]. The generator is the CPU's, so reading the number stalls no device."""
    return 2 * float(torch.rand((), generator=generator, dtype=torch.float64)) - 1


def _resampled(picture: Tensor, matrix: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    """Return the view whose pixel at (x, y) from the centre is the picture's at ``matrix`` @ (x, y), bilinear.

    Takes two values per pixel for the coordinates, and as many for the gradient's way back.
    """
    height, width = picture.shape[2:]
    (a, b), (c, d) = matrix
    # affine_grid counts both axes from -1 to 1, whatever the sides.
    unit = ((a, b * height / width, 0.0), (c * width / height, d, 0.0))
    grid = functional.affine_grid(
        torch.tensor([unit], dtype=picture.dtype).to(picture.device, non_blocking=True),
        [1, 3, height, width],
        align_corners=False,
    )
    return functional.grid_sample(picture, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _size(picture: Tensor) -> str:
    return f"a view of {picture.shape[3]} × {picture.shape[2]} pixels"

"""Ascents: from the gradient of one picture to what a step adds to it, for each unit of step size.

Every function is ``f(gradient, state, step, *, options) -> direction``, as :data:`deepdream_engine.records.Ascent`
says. Gradients may have hundreds of millions of values: they are overwritten rather than copied, and reduced band by
band, because one float32 sum over so many values loses most of them (torch's flat ``vector_norm`` of 50 million equal
values is less than half of the true one on a CPU). No value is read, so that a device never waits. A gradient of zeros
gives a direction of zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption
from deepdream_engine.records import Step
from deepdream_engine.resampling import blurred, laplacian_down, laplacian_up

State = dict[str, Tensor]

_BAND = 2**20  # values that are reduced at once: few enough for float32, enough to keep a device busy
_WHOLE = 2**24  # values up to which a temporary copy of all of them does no harm


def mean_abs(gradient: Tensor, state: State, step: Step) -> Tensor:  # noqa: ARG001
    """Divide by the mean absolute value: a step changes values by the step size on average.

    Google's DeepDream notebook (Mordvintsev, Olah and Tyka, 2015).
    """
    return gradient.div_(_floored(_mean_abs(gradient)))


def std(gradient: Tensor, state: State, step: Step, *, eps: float = 1e-8) -> Tensor:  # noqa: ARG001
    """Divide by the standard deviation (of the population, as ``np.std`` and ``tf.math.reduce_std`` have it) plus
    ``eps``.

    TensorFlow's DeepDream tutorial (2019). Its ``eps`` of 1e-8 is in units of the gradient: a score that is a mean over
    a very large picture has gradients that small, and then steps are shorter.
    """
    return gradient.div_(_std(gradient).add_(eps))


def smooth(
    gradient: Tensor,
    state: State,  # noqa: ARG001
    step: Step,
    *,
    rise: float = 4.0,
    floor: float = 0.5,
    factors: tuple[float, ...] = (1.0, 2.0, 0.5),
    colours: bool = True,
    radius_px: int = 0,
    centre: bool = False,
) -> Tensor:
    """Sum blurred copies of the gradient, blurring more from step to step, and divide by the standard deviation.

    Step ``i`` of ``n`` on an octave blurs with ``sigma = rise * i / n + floor`` pixels times each of ``factors``. The
    defaults are those of Hvass's TensorFlow tutorial 14 (2016), which blurs across the colour channels too
    (``colours``): that keeps the picture's colours. pytorch-deepdream (Gordić, 2020) is ``rise=2``, ``floor=0.5 + 2/n``
    (its steps count from 1), ``colours=False``, ``radius_px=4`` (its kernels are cut to 9 × 9; 0 is four sigmas),
    ``centre=True`` (the mean is subtracted); it mirrors without the border pixels, and these are mirrored with them.

    Raises ``BadOption`` on a canvas that is not made of pixels, and for a sigma that is not positive.
    """
    _need_pixels("smooth", gradient)
    scale = rise * step.index / step.count + floor
    if not factors or scale * min(factors) <= 0:
        raise BadOption(f"floor {floor:g}, factors {list(factors)}: sigmas must be positive; give numbers above 0.")
    total = torch.zeros_like(gradient)  # (1, 3, H, W)
    for factor in factors:
        blurred(gradient[0], scale * factor, into=total[0], radius_px=radius_px, colours=colours)
    # Hvass's 1e-8 is relative to tiles that he has normalised before. It keeps an even gradient finite.
    floor_std = _mean_abs(gradient).mul_(1e-8)
    if centre:
        total.sub_(_over_bands(total, Tensor.sum).div_(total.numel()))
    return total.div_(_floored(_std(total).add_(floor_std)))


def lapnorm(gradient: Tensor, state: State, step: Step, *, levels: int = 4) -> Tensor:  # noqa: ARG001
    """Bring all bands of frequency to equal strength: split the gradient into a Laplacian pyramid of ``levels`` bands
    and a rest, divide each by its root mean square, and merge them again.

    The last part of TensorFlow's DeepDream notebook (Mordvintsev, 2016); borders are those of its ``SAME`` padding.
    Raises ``BadOption`` on a canvas that is not made of pixels.
    """
    _need_pixels("lapnorm", gradient)
    bands = [gradient]
    for _ in range(levels):
        low = torch.cat(
            [laplacian_down(part) for part in _colours(bands[-1])], dim=1
        )  # (1, 3, ceil(H / 2), ceil(W / 2))
        _add_enlarged(bands[-1], low, sign=-1)
        bands.append(low)
    for band in bands:
        rms = _over_bands(band, lambda part: part.square().sum()).div_(band.numel()).sqrt_()
        band.div_(rms.clamp_min_(1e-10))
    for low, high in zip(bands[:0:-1], bands[-2::-1], strict=True):
        _add_enlarged(high, low, sign=1)
    return gradient


def momentum(gradient: Tensor, state: State, step: Step, *, decay: float = 0.9) -> Tensor:
    """Average the gradients of the octave's steps so far, each divided by its mean absolute value, those of older steps
    ``decay`` times less per step.

    The accumulated gradient of Dong et al., "Boosting adversarial attacks with momentum" (CVPR 2018), divided by the
    sum of its weights, so that the step size keeps its meaning: while gradients agree, a step changes values by the
    step size on average, and by less where they contradict each other. Holds one copy of the gradient.
    """
    mean_abs(gradient, state, step)
    average = _moment(state, "average", gradient).lerp_(gradient, 1 - decay)
    return torch.div(average, 1 - decay ** (step.index + 1), out=gradient)


def adam(
    gradient: Tensor, state: State, step: Step, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Tensor:
    """Divide the running mean of each value's gradient by its running root mean square, corrected for their start.

    Kingma and Ba, "Adam" (ICLR 2015), uphill; lucid's optimiser. The step size is the learning rate: no value changes
    by much more than it in one step, and by about it on the first. Holds two copies of the gradient.
    """
    first = _moment(state, "first", gradient).lerp_(gradient, 1 - beta1)
    second = _moment(state, "second", gradient).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    count = step.index + 1
    torch.sqrt(second, out=gradient).div_((1 - beta2**count) ** 0.5).add_(eps)
    return torch.div(first, gradient, out=gradient).div_(1 - beta1**count)


def _moment(state: State, name: str, like: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(like)
    return state[name]


def _need_pixels(name: str, gradient: Tensor) -> None:
    if gradient.ndim != 4:
        raise BadOption(
            f'ascent {name!r} works on neighbouring pixels, and the canvas is not "pixels". '
            f'Choose another ascent for it (adam, momentum, mean_abs, std), or canvas = "pixels".'
        )


def _add_enlarged(high: Tensor, low: Tensor, *, sign: int) -> None:
    """Add ``low``, enlarged to the size of ``high``, to it in place; colour by colour if it is large."""
    for part, small in zip(_colours(high), _colours(low, like=high), strict=True):
        part.add_(laplacian_up(small, (high.shape[2], high.shape[3])), alpha=sign)


def _colours(values: Tensor, like: Tensor | None = None) -> tuple[Tensor, ...]:
    """Return ``(1, C, H, W)`` in one piece, or colour by colour if ``like`` (or it) is large."""
    large = (values if like is None else like).numel() > _WHOLE
    return torch.split(values, 1 if large else values.shape[1], dim=1)


def _over_bands(values: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the sum ``()`` of what ``reduce`` makes of bands of rows of ``values`` ``(1, C, H, ...)``."""
    rows = max(1, _BAND * values.shape[2] // values.numel())
    return torch.stack([reduce(band) for band in torch.split(values, rows, dim=2)]).sum()


def _mean_abs(values: Tensor) -> Tensor:
    return _over_bands(values, lambda band: band.abs().sum()).div_(values.numel())


def _std(values: Tensor) -> Tensor:
    mean = _over_bands(values, Tensor.sum).div_(values.numel())
    return _over_bands(values, lambda band: (band - mean).square_().sum()).div_(values.numel()).sqrt_()


def _floored(divisor: Tensor) -> Tensor:
    """Keep a divisor from being zero or so small that it has lost its digits.

    The least normal number will do: no value is above the mean absolute value times their number, so a quotient is at
    most that number, which every floating type here can hold.
    """
    return divisor.clamp_min_(torch.finfo(divisor.dtype).tiny)

"""Whether a reduced precision will do: measured once for a device, a network and its layers, against float32.

Half precisions are known to fail in silence: gradients of some layers at some sizes come back all zero, or infinite,
and normalised ascents then amplify noise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from deepdream_engine.device import Device

log = logging.getLogger(__name__)

Gradient = Callable[[str, Tensor], Tensor]
"""``gradient(precision, picture (1, 3, H, W)) -> (1, 3, H, W)``, for one of ``PRECISIONS``."""

_SIZES = ((160, 160), (150, 227))
"""Some routines fail at some sizes only."""

# Measured with bfloat16 on noise, over shallow to last layers: gradients have a cosine of 0.995 or more (dreamnet),
# 0.94 (SqueezeNet), 0.88 (GoogLeNet with random weights); what three steps change 0.99, 0.55, 0.61. Dreaming is
# chaotic: three steps more take SqueezeNet's to 0.39, and it is rounding's doing all the same.
_STEPS = 3
_STEP_SIZE = 1.5 / 255
_LEAST_LIKENESS = 0.8
_LEAST_LIKENESS_OF_DREAMS = 0.4


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The precision to dream in, and, if it is not the one asked for, why."""

    precision: str
    reason: str = ""


def settle(wanted: str, gradient: Gradient, device: Device) -> str:
    """Return ``wanted``, or ``fp32`` if :func:`judge` finds against it; logs a warning with the reason then."""
    verdict = judge(wanted, gradient, device)
    if verdict.reason:
        log.warning("precision %r falls back to %r on %s: %s", wanted, verdict.precision, device.name, verdict.reason)
    return verdict.precision


def judge(wanted: str, gradient: Gradient, device: Device) -> Verdict:
    """Compare ``wanted``, one of ``PRECISIONS``, with float32 by ``gradient`` on pictures of smooth noise.

    The gradients must have a cosine of at least 0.8, and the changes that three steps of each make to the picture one
    of 0.4. ``fp32`` and ``fp64`` are what they are and cost nothing.
    """
    if wanted in ("fp32", "fp64"):
        return Verdict(precision=wanted)
    reason = device.lacks(wanted)
    for size in _SIZES:
        reason = reason or _unlike(wanted, gradient, device.place(trial_picture(*size)))
    return Verdict(precision="fp32", reason=reason) if reason else Verdict(precision=wanted)


def trial_picture(height: int, width: int) -> Tensor:
    """Return smooth noise ``(1, 3, height, width)`` in [0, 1], always the same."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, 3, height, width)
    for octave in range(5):
        cells = torch.rand(1, 3, 4 << octave, 4 << octave, generator=generator)
        picture += functional.interpolate(cells, (height, width), mode="bicubic") / (1 << octave)
    return (picture / picture.max()).clamp(0, 1)


def _unlike(wanted: str, gradient: Gradient, picture: Tensor) -> str:
    """Return how ``wanted`` differs from float32 on ``picture``, or nothing if it is alike."""
    height, width = picture.shape[2:]
    where = f"on noise of {width} × {height} pixels"
    exact, reduced = gradient("fp32", picture), gradient(wanted, picture)
    if not torch.isfinite(reduced).all():
        return f"its gradient {where} is not finite"
    if not exact.any():
        return f"float32's gradient {where} is zero, so there is nothing to compare it with"
    if not reduced.any():
        return f"its gradient {where} is zero"
    likeness = _cosine(exact, reduced)
    if not likeness >= _LEAST_LIKENESS:
        return f"its gradient {where} has a cosine of {likeness:.3f} with float32's, less than {_LEAST_LIKENESS}"
    changes = [_dream(precision, gradient, picture) - picture for precision in ("fp32", wanted)]
    likeness = _cosine(*changes)
    if not likeness >= _LEAST_LIKENESS_OF_DREAMS:  # nor if it is not a number
        least = _LEAST_LIKENESS_OF_DREAMS
        return f"what it dreams {where} has a cosine of {likeness:.3f} with float32's, less than {least}"
    return ""


def _dream(precision: str, gradient: Gradient, picture: Tensor) -> Tensor:
    """A short ascent in Google's manner, without jitter."""
    for _ in range(_STEPS):
        slope = gradient(precision, picture)
        picture = (picture + _STEP_SIZE * slope / (slope.abs().mean() + 1e-12)).clamp(0, 1)
    return picture


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(functional.cosine_similarity(one.double().flatten(), other.double().flatten(), dim=0))

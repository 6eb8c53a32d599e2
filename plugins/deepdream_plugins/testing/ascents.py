"""Checks of ascents: uphill, of a size that does not depend on the gradient's, remembering nothing but in ``state``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.records import Schedule, Step
from deepdream_plugins.builtin.objectives.layers import OBJECTIVES
from deepdream_plugins.records import AscentSpec
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.options import filled
from deepdream_plugins.testing.tiny import a_picture, engine
from deepdream_plugins.testing.trials import Trial, rescored

_STEPS = 3
_SPREAD = 30.0
"""How much longer steps may become when the gradient is a thousand times larger."""
Options = Mapping[str, Any]


def check_ascent(spec: AscentSpec, /, **options: object) -> None:
    """Check that a direction is finite, of the gradient's shape, uphill on the first step, about as long for weak
    gradients as for strong ones, and zero for a gradient of zeros; that pictures do not share what it remembers; and
    that the engine climbs with it.

    Raises ``AssertionError`` with what to mend; a wrong option is a ``BadOption``.
    """
    values = filled(spec, "ascent", options)
    of = f"the ascent {spec.name!r}"
    slope = (a_picture(seed=3) - 0.5)[None]  # (1, 3, H, W)
    first = _check_memory(spec, values, slope)
    uphill = float((first[0] * slope).sum())
    if not (uphill > 0):
        raise Broken(f"{of} leads downhill on its first step. Return what is added to the picture: keep the sign.")
    strong, weak = (float(_directions(spec, values, slope * by)[0].abs().mean()) for by in (10.0, 0.01))
    if not (weak > 0 and strong / weak < _SPREAD):
        raise Broken(
            f"{of} takes steps {strong / max(weak, 1e-30):.3g} times as long for a gradient 1000 times as strong. "
            f"Divide by the gradient's mean absolute value or standard deviation, so that step_size means the same "
            f"everywhere."
        )
    flat = _directions(spec, values, torch.zeros_like(slope))
    if any(direction.any() for direction in flat):
        raise Broken(f"{of} moves a picture whose gradient is zero. Keep divisors away from zero with .clamp(min=...).")
    _check_spectrum(spec, values)
    _check_climbs(spec, values, of)


def _check_memory(spec: AscentSpec, options: Options, slope: Tensor) -> list[Tensor]:
    """Return the directions of a first picture, which those of a second, equal one must not differ from."""
    of = f"the ascent {spec.name!r}"
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            found.append(_directions(spec, options, slope))
    first, again, otherwise = found
    if not all(map(torch.equal, first, again)):
        raise Broken(
            f"{of} remembers something between pictures, and gives the second of two equal ones other directions: keep "
            f"it in `state`, which is its own for every picture and empty at the start of every octave."
        )
    if not all(map(torch.equal, first, otherwise)):
        raise Broken(f"{of} draws random numbers: equal gradients must give equal directions.")
    return first


def _directions(spec: AscentSpec, options: Options, slope: Tensor) -> list[Tensor]:
    """Return the directions of a few steps with the same gradient, on an octave of their own."""
    of = f"the ascent {spec.name!r}"
    state: dict[str, Tensor] = {}
    found = []
    for index in range(_STEPS):
        with calling(of), torch.no_grad():
            given = slope.clone()  # which it may overwrite
            direction: object = spec.direction(given, state, Step(index=index, count=_STEPS, octave=0), **options)
        if not isinstance(direction, Tensor):
            raise Broken(f"{of} returned {type(direction).__name__}, not a tensor.")
        if direction.shape != slope.shape:
            raise Broken(
                f"{of} returned the shape {tuple(direction.shape)} for a gradient {tuple(slope.shape)}; they must be "
                f"equal."
            )
        if not direction.isfinite().all():
            raise Broken(
                f"{of} returned values that are not finite for a gradient whose mean absolute value is "
                f"{float(slope.abs().mean()):.3g}. Keep divisors away from zero with .clamp(min=...)."
            )
        found.append(direction.clone())
    return found


def _check_spectrum(spec: AscentSpec, options: Options) -> None:
    """Try the gradient of a spectrum, which has no neighbouring pixels; an ascent may refuse it."""
    spectrum = torch.randn(1, 3, 12, 7, 2, generator=torch.Generator().manual_seed(1))
    try:
        _directions(spec, options, spectrum)
    except BadOption:
        return
    except AssertionError as error:
        raise Broken(
            f'{error} This is the gradient of canvas = "fourier", (1, 3, H, W // 2 + 1, 2). If it cannot work on that, '
            f"raise BadOption where gradient.ndim is not 4."
        ) from error


def _check_climbs(spec: AscentSpec, options: Options, of: str) -> None:
    strength = next(objective for objective in OBJECTIVES if objective.name == "l2")
    trial = Trial(strength, {})
    look = trial.look(a_picture())
    schedule = Schedule(octaves=1, steps=8, step_size=1.0, jitter_px=0)
    job = trial.job(look.picture[0], schedule)
    before = rescored(trial, look, look.picture[0])
    try:
        (dream,) = engine().dream([_with_ascent(job, partial(spec.direction, **options))])
    except DeepDreamError as error:
        raise Broken(f"{of}: the engine could not dream with it: {error}") from error
    after = rescored(trial, look, dream.pixels)
    if not (after > before):
        raise Broken(f"{of} lowered the score of l2 from {before:g} to {after:g} over 8 steps of the engine.")


def _with_ascent(job: Any, ascent: Any) -> Any:
    from dataclasses import replace

    return replace(job, ascent=ascent)

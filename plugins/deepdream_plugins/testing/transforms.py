"""Checks of transforms: differentiable views whose size is known beforehand and whose chance is the generator's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from deepdream_engine.errors import DeepDreamError
from deepdream_engine.records import Schedule
from deepdream_plugins.builtin.objectives.layers import OBJECTIVES
from deepdream_plugins.records import TransformSpec
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.options import filled
from deepdream_plugins.testing.tiny import a_picture, engine
from deepdream_plugins.testing.trials import Trial

_SEEDS = range(4)
_LEAST_EVEN = 0.25
"""The share of a view that may at least be expected to come from the picture."""
Options = Mapping[str, Any]


def check_transform(spec: TransformSpec, /, **options: object) -> None:
    """Check that a view is finite and differentiable, that its size depends on the picture's size alone and its chance
    on the generator alone, that further channels travel along, and that the engine dreams through it.

    Raises ``AssertionError`` with what to mend; a wrong option is a ``BadOption``.
    """
    values = filled(spec, "transform", options)
    of = f"the transform {spec.name!r}"
    for height, width in ((40, 40), (45, 64)):
        sizes = set()
        for seed in _SEEDS:
            for content in (0, 1):
                picture = a_picture(height, width, seed=content)[None]
                sizes.add(tuple(_view(spec, values, picture, seed).shape[2:]))
        if len(sizes) != 1:
            raise Broken(
                f"{of} makes views of {len(sizes)} sizes from pictures of {width} × {height}: {sorted(sizes)}. The "
                f"size may depend on the picture's size and the options alone; draw where to cut, not how much."
            )
    _check_gradient(spec, values, of)
    _check_chance(spec, values, of)
    _check_channels(spec, values, of)
    _check_dream(spec, values, of)


def _view(spec: TransformSpec, options: Options, picture: Tensor, seed: int, *, channels: int = 3) -> Tensor:
    """Return a view of ``(1, C, H, W)``, which it must not write into."""
    of = f"the transform {spec.name!r}"
    given = picture.clone() if not picture.requires_grad else picture
    with calling(of), torch.enable_grad():
        view: object = spec.apply(given, torch.Generator().manual_seed(seed), **options)
    if not isinstance(view, Tensor):
        raise Broken(f"{of} returned {type(view).__name__}, not a tensor.")
    if not (view.ndim == 4 and view.shape[:2] == (1, channels) and 0 not in view.shape):
        raise Broken(
            f"{of} returned the shape {tuple(view.shape)} for {tuple(picture.shape)}; it must be (1, {channels}, h, w)."
        )
    if not view.isfinite().all():
        raise Broken(f"{of} returned values that are not finite.")
    mean = float(view[:, :3].detach().mean())
    if not (-0.5 <= mean <= 1.5):
        raise Broken(f"{of} returned values around {mean:.3g}; views are in [0, 1], normalised afterwards.")
    if not torch.equal(given, picture):
        raise Broken(
            f"{of} wrote into its picture, which is the canvas itself; leave out operations whose names end in an "
            f"underscore."
        )
    return view


def _check_gradient(spec: TransformSpec, options: Options, of: str) -> None:
    hint = "It must be made of differentiable operations: no .detach(), no torch.no_grad(), no rounding."
    for seed in _SEEDS:
        picture = a_picture()[None].requires_grad_()
        view = _view(spec, options, picture, seed)
        if not view.requires_grad:
            raise Broken(f"{of} has no gradient. {hint}")
        weights = torch.linspace(0.5, 1.5, view.numel()).reshape(view.shape)  # a sum alone is often constant
        (gradient,) = torch.autograd.grad((view * weights).sum(), picture, allow_unused=True, materialize_grads=True)
        if not gradient.isfinite().all():
            raise Broken(f"{of} has a gradient that is not finite.")
        if not gradient.any():
            raise Broken(f"{of} has a gradient of zero. {hint}")


def _check_chance(spec: TransformSpec, options: Options, of: str) -> None:
    hint = "Draw random numbers from the generator that it gets, as in torch.rand((), generator=generator)."
    picture = a_picture()[None]
    for seed in _SEEDS:
        made = []
        with torch.random.fork_rng(devices=[]):
            for elsewhere in (1, 2):
                torch.manual_seed(elsewhere)
                before = torch.get_rng_state()
                made.append(_view(spec, options, picture, seed))
                if not torch.equal(before, torch.get_rng_state()):
                    raise Broken(f"{of} draws from torch's global generator. {hint}")
        if not torch.equal(*made):
            raise Broken(f"{of} makes two different views with equal generators. {hint}")


def _check_channels(spec: TransformSpec, options: Options, of: str) -> None:
    """Try a picture with a mask and a source behind its colours, as recipes with masks have it."""
    picture = torch.cat([a_picture(), a_picture(seed=1), a_picture(seed=2)[:1]])[None]  # (1, 7, H, W)
    hint = (
        "With a mask, or a score that reads the source, further channels follow the three colours. Move them as the "
        "colours are moved, and change colours in [:, :3] alone."
    )
    try:
        view = _view(spec, options, picture, seed=0, channels=7)
    except AssertionError as error:
        raise Broken(f"{error} {hint}") from error
    for plain in (0.3, 0.7):  # what moves an even plane leaves it even, but for what it fills in
        for seed in _SEEDS:
            even = torch.cat([a_picture(), torch.full((4, *picture.shape[2:]), plain)])[None]
            beside = _view(spec, options, even, seed, channels=7)[:, 3:]
            if float((beside - plain).abs().lt(1e-3).float().mean()) < _LEAST_EVEN:
                raise Broken(f"{of} changes the values of the channels behind the colours. {hint}")
    if not torch.allclose(view[:, :3], _view(spec, options, picture[:, :3], seed=0), atol=1e-5):
        raise Broken(f"{of} makes something else of the colours when other channels travel along. {hint}")


def _check_dream(spec: TransformSpec, options: Options, of: str) -> None:
    strength = next(objective for objective in OBJECTIVES if objective.name == "l2")
    picture = a_picture()
    job = Trial(strength, {}).job(picture, Schedule(octaves=1, steps=3, jitter_px=0))
    try:
        (dream,) = engine().dream([replace(job, transforms=(partial(spec.apply, **options),))])
    except DeepDreamError as error:
        raise Broken(f"{of}: the engine could not dream with it: {error}") from error
    if torch.equal(dream.pixels, picture):
        raise Broken(f"{of}: the engine's dream did not change the picture.")

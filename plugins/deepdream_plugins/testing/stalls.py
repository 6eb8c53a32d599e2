"""``check_no_sync``: what runs in the step loop reads no value of a tensor, which would make an accelerator wait.

The code runs on torch's ``meta`` device, whose tensors have shapes but no values: nothing can be read from them, on
any machine. Where there is an NVIDIA GPU it runs there too, with synchronisation made an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deepdream_engine.activations import Activations
from deepdream_engine.records import Step
from deepdream_plugins.records import AscentSpec, ObjectiveSpec, TransformSpec
from deepdream_plugins.testing.failing import Broken, calling, place_of
from deepdream_plugins.testing.options import filled
from deepdream_plugins.testing.tiny import a_picture
from deepdream_plugins.testing.trials import Trial, call
from deepdream_plugins.testing.watching import ADVICE, Waits, Watch

Run = Callable[[], object]
Make = Callable[[torch.device], Run]
"""Puts what the code gets onto a device, and returns how to run it there."""


def check_no_sync(spec: ObjectiveSpec | AscentSpec | TransformSpec, /, **options: object) -> None:
    """Check that a ``score``, ``direction`` or ``apply`` reads no value of what it gets: no ``.item()``, ``print``,
    ``if`` on a tensor, ``nonzero`` or mask as an index, and nothing sent to the device in every step.

    Random numbers of a transform are drawn on the CPU, where reading them costs nothing. Raises ``AssertionError`` with
    the line; a wrong option is a ``BadOption``.
    """
    of, make = _prepared(spec, options)
    run = make(torch.device("meta"))
    with _watched(of), Watch():
        run()
    if torch.cuda.is_available():
        make(torch.device("cuda"))()  # kernels are loaded, and their workspaces made, at the first call
        run = make(torch.device("cuda"))
        with _watched(of), _sync_is_an_error():
            run()


def _prepared(spec: ObjectiveSpec | AscentSpec | TransformSpec, options: Mapping[str, object]) -> tuple[str, Make]:
    if isinstance(spec, ObjectiveSpec):
        return f"the score of the objective {spec.name!r}", _scoring(spec, options)
    if isinstance(spec, AscentSpec):
        return f"the ascent {spec.name!r}", _climbing(spec, filled(spec, "ascent", options))
    if isinstance(spec, TransformSpec):
        return f"the transform {spec.name!r}", _transforming(spec, filled(spec, "transform", options))
    raise TypeError(
        f"{type(spec).__name__} does not run in the step loop; check_no_sync is for objectives, ascents and transforms."
    )


def _scoring(spec: ObjectiveSpec, options: Mapping[str, object]) -> Make:
    trial = Trial(spec, options)
    looks = [trial.look(a_picture(seed=seed)) for seed in range(2)]

    def make(device: torch.device) -> Run:
        taps = {
            name: torch.cat([look.taps[name] for look in looks]).to(device).requires_grad_() for name in looks[0].taps
        }
        pixels = torch.cat([look.picture for look in looks]).to(device).requires_grad_()
        moved = [
            replace(look, options={name: value.to(device) for name, value in look.options.items()}) for look in looks
        ]
        frame = looks[0].runner.inputs_of(looks[0].picture).frame.expand(len(looks), -1, -1).to(device)
        seen = Activations(by_tap=taps, pixels=pixels, frame=frame, source=pixels.detach() * 0.9)

        def run() -> None:
            scores = call(spec, seen, moved)
            if scores.requires_grad:
                torch.autograd.grad(scores.sum(), (*taps.values(), pixels), allow_unused=True)

        return run

    return make


def _climbing(spec: AscentSpec, options: Mapping[str, Any]) -> Make:
    def make(device: torch.device) -> Run:
        gradients = [(a_picture(seed=index) - 0.5)[None].to(device) for index in range(2)]
        state: dict[str, Tensor] = {}

        def run() -> None:
            for index, gradient in enumerate(gradients):
                step = Step(index=index, count=2, octave=0)
                _tensor(f"the ascent {spec.name!r}", spec.direction(gradient, state, step, **options))

        return run

    return make


def _transforming(spec: TransformSpec, options: Mapping[str, Any]) -> Make:
    def make(device: torch.device) -> Run:
        picture = a_picture()[None].to(device).requires_grad_()

        def run() -> None:
            for seed in range(3):  # other branches may be taken with other numbers
                found: object = spec.apply(picture, torch.Generator().manual_seed(seed), **options)
                view = _tensor(f"the transform {spec.name!r}", found)
                torch.autograd.grad(view.sum(), picture, allow_unused=True)

        return run

    return make


def _tensor(of: str, found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise Broken(f"{of} returned {type(found).__name__}, not a tensor.")
    return found


@contextmanager
def _watched(of: str) -> Iterator[None]:
    try:
        with calling(of):
            yield
    except AssertionError as error:
        cause = error.__cause__
        if isinstance(cause, Waits):
            raise Broken(f"{of} {cause.does} {place_of(cause)}: {cause}") from None
        if isinstance(cause, RuntimeError) and "synchroniz" in str(cause):
            raise Broken(f"{of} waits for the device {place_of(cause)}: {cause}. {ADVICE}") from None
        if isinstance(cause, RuntimeError) and "device" in str(cause):
            raise Broken(
                f"{error} Make tensors with device=, or from those that are given, as in x.new_zeros."
            ) from None
        raise


@contextmanager
def _sync_is_an_error() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)

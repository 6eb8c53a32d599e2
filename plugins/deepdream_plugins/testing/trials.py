"""An objective with its options on the tiny network, looked at and scored in the way that the engine goes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from deepdream_engine.activations import Activations
from deepdream_engine.dreaming import Way
from deepdream_engine.passes import Runner
from deepdream_engine.records import DreamJob, Program, Schedule
from deepdream_plugins.hosting.host import Owned
from deepdream_plugins.options import Where
from deepdream_plugins.records import ObjectiveSpec, PictureFile
from deepdream_plugins.resolving.composition import compose, picture_options
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.layers import Placed
from deepdream_plugins.resolving.looking_up import Fitting
from deepdream_plugins.resolving.parts import is_per_picture
from deepdream_plugins.resolving.terms import Term
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.options import varied
from deepdream_plugins.testing.tiny import TINY, a_picture, engine, network_of

OWNER = "tested"
_NETWORK = network_of(TINY)
_GUIDE_SEED = 77
_COUNTER = count()


def word_of(spec: ObjectiveSpec) -> str:
    """Return how messages name its score."""
    return f"the score of the objective {spec.name!r}"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a score was given and what it returned: leaves of autograd, and the scores ``(N,)``."""

    leaves: tuple[Tensor, ...]
    scores: Tensor

    @cached_property
    def gradients(self) -> tuple[Tensor, ...]:
        """The gradient of the scores' sum with respect to each leaf."""
        return torch.autograd.grad(self.scores.sum(), self.leaves, allow_unused=True, materialize_grads=True)


@dataclass(frozen=True)
class Trial:
    """One objective with a value for each option, on the tiny network."""

    spec: ObjectiveSpec
    given: Mapping[str, object]

    @cached_property
    def configured(self) -> Configured[ObjectiveSpec]:
        """The objective fitted to the network; a wrong option is a ``BadOption``."""
        table = {name: Placed(value, _where(name), 0) for name, value in self.given.items()}
        return Fitting(TINY, 0, Path()).objective(Owned(spec=self.spec, owner=OWNER), table, ())

    @cached_property
    def _key(self) -> Hashable:
        """Its own, for the engine keeps what has an equal one, and authors try several scores by one name."""
        return ("tested", next(_COUNTER))

    def job(self, picture: Tensor, schedule: Schedule) -> DreamJob:
        """Return the engine's job for a picture ``(3, H, W)``; guides are pictures of their own."""
        terms = (Term(label="", factor=1.0, objective=self.configured),)
        guides = [option.name for option in self.spec.options if option.type is PictureFile]
        return DreamJob(
            pixels=picture,
            program=Program(network=_NETWORK, objective=replace(compose(terms, balance=False), key=self._key)),
            schedule=schedule,
            options=picture_options(terms),
            guides={name: a_picture(32, 48, _GUIDE_SEED + index) for index, name in enumerate(guides)},
        )

    def look(self, picture: Tensor) -> Look:
        """Check and prepare one picture as the engine does before its first step."""
        job = self.job(picture, Schedule())
        runner = engine().runner(job.program)
        with calling(f"the objective {self.spec.name!r}"):
            options = runner.prepare(job, Way(job, runner.dtype))
        plain = job.program.objective.static
        return Look(picture=picture[None], runner=runner, options=options, static=plain)

    def neighbour(self, number: int) -> Trial:
        """Return the same with other values of those per-picture options that were left to their defaults."""
        other = dict(self.given)
        for option in self.spec.options:
            value = self.configured.options[option.name]
            if option.name not in self.given and is_per_picture(option) and isinstance(value, int | float):
                other[option.name] = varied(option, value, number)
        return Trial(self.spec, other)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture ``(1, 3, H, W)`` made ready: the options of its own as tensors, those in common as plain values."""

    picture: Tensor
    runner: Runner
    options: Mapping[str, Tensor]
    static: Mapping[str, object]

    @cached_property
    def taps(self) -> Mapping[str, Tensor]:
        """What the network sees in it, without gradient: the picture alone, so that neighbours change nothing."""
        with torch.no_grad():
            seen: Mapping[str, Tensor] = self.runner.network(self.picture)
        return seen


def score(spec: ObjectiveSpec, looks: Sequence[Look], *, scale: float = 1.0) -> Scored:
    """Call the score on pictures side by side, activations multiplied by ``scale``, and check what it returns."""
    taps = {name: torch.cat([look.taps[name] for look in looks]).mul(scale).requires_grad_() for name in looks[0].taps}
    pixels = torch.cat([look.picture for look in looks]).requires_grad_()
    moved = pixels.detach() * 0.9 + 0.05  # a source that the dream has left already
    activations = activations_of(looks[0].runner, taps, pixels, moved)
    scores = call(spec, activations, looks)
    return Scored(leaves=(*taps.values(), pixels), scores=scores)


def activations_of(runner: Runner, taps: Mapping[str, Tensor], pixels: Tensor, source: Tensor) -> Activations:
    """Return what an objective sees of whole pictures ``(N, 3, H, W)``."""
    frame = runner.inputs_of(pixels[:1].detach()).frame.expand(len(pixels), -1, -1)
    return Activations(by_tap=taps, pixels=pixels, frame=frame, source=source)


def call(spec: ObjectiveSpec, activations: Activations, looks: Sequence[Look]) -> Tensor:
    """Return the scores ``(N,)``; whatever is wrong with them is an ``AssertionError``."""
    of, many = word_of(spec), len(looks)
    stacked = {name: torch.stack([look.options[name] for look in looks]) for name in looks[0].options}
    hint = "Options with per_picture=True arrive as tensors (N,): give them dimensions with .view(-1, 1, 1, 1)."
    with calling(of, hint if any(option.per_picture for option in spec.options) else ""), torch.enable_grad():
        scores: object = spec.score(activations, **{**looks[0].static, **stacked})
    if not isinstance(scores, torch.Tensor):
        raise Broken(f"{of} returned {type(scores).__name__}; it must return a tensor (N,).")
    if scores.shape != (many,):
        raise Broken(
            f"{of} returned the shape {tuple(scores.shape)} for {many} pictures; it must be ({many},), one number "
            f"per picture: reduce over all dimensions but the first, as in .flatten(1).mean(dim=1)."
        )
    if not scores.is_floating_point():
        raise Broken(f"{of} returned {scores.dtype}; it must be a floating type.")
    return scores


def rescored(trial: Trial, look: Look, picture: Tensor) -> float:
    """Return the score of another picture ``(3, H, W)`` in place of the one looked at, which is its source."""
    other = replace(look, picture=picture[None])
    activations = activations_of(look.runner, other.taps, other.picture, look.picture)
    return float(call(trial.spec, activations, [other]))


def _where(name: str) -> Where:
    return lambda *keys: ".".join(map(str, (name, *keys)))

"""One term of a weighted sum as the engine's functions see it: with options, guides and a mask of its own.

All of these have names of their own, ``LABEL.OPTION``; the objective sees them under their plain names.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, UnknownTap
from deepdream_plugins.hosting.guarded import prepared, scored
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.options import Value
from deepdream_plugins.records import ClassName, Option, PictureFile, Tap
from deepdream_plugins.resolving.keys import MASK, OUTPUT_TAP
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations, Look

# Neither is an identifier, so neither can be an option's name.
FACTOR = "*"
_SCALE = "/"


def guide_options(term: Term) -> dict[str, str]:
    """Return the paths of the pictures that a term's options name, ``""`` for companions."""
    options = (option for option in term.objective.spec.options if option.type is PictureFile)
    return {option.name: str(term.objective.options[option.name]) for option in options}


def prefixed(term: Term, name: str) -> str:
    """Return what ``name`` of this term is called among those of all terms."""
    return f"{term.label}.{name}" if term.label else name


def is_per_picture(option: Option) -> bool:
    return (option.per_picture or option.type is ClassName) and not option.many


@dataclass(frozen=True)
class Part:
    """One term as the engine's functions see it; ``balance`` says whether it is to be weighed against others."""

    term: Term
    balance: bool

    @cached_property
    def guard(self) -> Guard:
        """What its objective's functions are called by, and blamed with."""
        return self.term.objective.guard("objective")

    @property
    def is_alone(self) -> bool:
        return not self.term.label

    @property
    def taps(self) -> set[str]:
        """The taps that its options name."""
        found: set[str] = set()
        for option in self.term.objective.spec.options:
            if option.type is Tap:
                value = self.term.objective.options[option.name]
                found.update(map(str, value) if isinstance(value, tuple) else [str(value)])
        return found

    @property
    def weighs(self) -> bool:
        """Whether it is balanced: a score of pixels alone has a gradient of about 1 by nature."""
        return self.balance and bool(self.taps)

    @property
    def checks(self) -> bool:
        term = self.term
        return term.objective.spec.check is not None or term.mask is not None or term.classes is not None

    @property
    def prepares(self) -> bool:
        return self.term.objective.spec.prepare is not None or self.weighs

    @property
    def _plane(self) -> str:
        return prefixed(self.term, MASK.name)

    def key(self) -> Hashable:
        """Return what tells this score from others, but for what pictures have of their own."""
        own = (self.term.objective.spec.name, tuple(sorted(self._static().items())))
        if self.is_alone:
            return own if self.term.mask is None else (*own, MASK.name)
        return (self.term.label, *own, self.term.mask is not None, self.weighs)

    def static(self) -> dict[str, Value]:
        """Return the options that all pictures of a pass have in common, by their prefixed names."""
        return {prefixed(self.term, name): value for name, value in self._static().items()}

    def _static(self) -> dict[str, Value]:
        declared = {option.name: option for option in self.term.objective.spec.options}
        return {
            name: value
            for name, value in self.term.objective.options.items()
            if not is_per_picture(declared[name]) and declared[name].type is not PictureFile
        }

    def own(self, options: Mapping[str, object]) -> dict[str, Any]:
        """Return the term's own options under their plain names, without factor and scale."""
        if self.is_alone:
            return dict(options)
        start = f"{self.term.label}."
        mine = {name.removeprefix(start): value for name, value in options.items() if name.startswith(start)}
        return {name: value for name, value in mine.items() if name not in (FACTOR, _SCALE)}

    def seen(self, activations: Activations) -> Activations:
        """Return what this term sees of the activations, given its mask."""
        if self.term.mask is None:
            return activations
        mask = activations.planes[self._plane]  # (N, 1, H, W)
        pixels = activations.pixels
        # A score of pixels keeps its value; only its gradient stays within the mask.
        held = pixels.detach().lerp(pixels, mask)
        return replace(activations.masked(self._plane), pixels=held)

    def score(self, activations: Activations, options: Mapping[str, object]) -> Tensor:
        """Return ``(N,)``: the term's score, times its factor if it has one."""
        plain = self._plain(activations, self.own(options))
        if self.is_alone:
            return plain
        factor: Any = options[prefixed(self.term, FACTOR)]
        if self.weighs:
            factor = factor * options[prefixed(self.term, _SCALE)]
        weighted: Tensor = plain * factor
        return weighted

    def _plain(self, activations: Activations, own: Mapping[str, Any]) -> Tensor:
        """Return ``(N,)``: the term's score before any factor; a mean that is weighed becomes a sum over pixels, so
        that its weight against others is the same on all octaves."""
        spec = self.term.objective.spec
        plain = scored(self.guard, partial(spec.score, **own), self.seen(activations))
        if not self.weighs or spec.is_sum:
            return plain
        return plain * activations.frame[:, :, 1].prod(dim=1)  # the canvas's height times its width, (N,)

    def check(self, shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, object]) -> None:
        """Refuse options that do not fit this picture's activations, and a mask where there are no places."""
        if self.term.mask is not None:
            for tap in sorted(self.taps):
                if len(shapes[tap]) != 4:
                    raise BadOption(
                        f"{self._plane}: {tap!r} has no places that a mask could confine; leave the mask out, or use "
                        f"the recipe's own mask."
                    )
        spec = self.term.objective.spec
        if spec.check is not None:
            with _Labelled(self.term):
                self.guard.call(partial(spec.check, **self.own(options)), shapes)
        self._check_classes(shapes)

    def _check_classes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse a layer that stands where the network's output does by default, and has not one value per class."""
        for option in self.term.objective.spec.options:
            if self.term.classes is None or option.type is not Tap or option.default != OUTPUT_TAP:
                continue
            tap = str(self.term.objective.options[option.name])
            count = shapes[tap][1]
            if count != self.term.classes:
                raise BadOption(
                    f"{prefixed(self.term, option.name)} {tap!r} has {count} values, and the model "
                    f"{self.term.classes} classes, so they are not the classes'; leave it out for {OUTPUT_TAP!r}."
                )

    def prepare(self, look: Look, options: Mapping[str, object]) -> dict[str, Tensor]:
        """Return the tensors that the term prepares, and its scale if it is balanced, by their prefixed names."""
        spec = self.term.objective.spec
        own = self.own(options)
        made: dict[str, Tensor] = {}
        if spec.prepare is not None:
            with _Labelled(self.term):
                made = prepared(self.guard, partial(spec.prepare, **own), self._look(look))
        found = {prefixed(self.term, name): tensor for name, tensor in made.items()}
        if self.weighs:
            found[prefixed(self.term, _SCALE)] = self._scale(look, own, made)
        return found

    def _look(self, look: Look) -> Look:
        """Return the look as this term may see it: its own guides, and within its mask."""
        names = guide_options(self.term)
        return replace(
            look,
            activations=self.seen(look.activations),
            guides={name: look.guides[prefixed(self.term, name)] for name in names},
            strength=lambda score: look.strength(lambda activations: score(self.seen(activations))),
        )

    def _scale(self, look: Look, own: Mapping[str, object], made: Mapping[str, Tensor]) -> Tensor:
        """Return the factor ``()`` that brings the term's gradient on this picture to a mean absolute value of 1.

        Where there is nothing to suppress it is 0; where there is nothing to amplify, ``BadOption`` is raised.
        """
        import torch

        pixels = look.activations.pixels
        declared = {option.name for option in self.term.objective.spec.options if is_per_picture(option)}
        stacked = {
            name: torch.tensor([value], device=pixels.device, dtype=pixels.dtype if isinstance(value, float) else None)
            if name in declared
            else value
            for name, value in own.items()
        }
        stacked |= {name: tensor[None] for name, tensor in made.items()}
        strength = look.strength(lambda activations: self._plain(activations, stacked))
        found = float(strength)  # read once per picture, before its first step
        if found == 0 and self.term.factor < 0:
            return strength
        if not 0 < found < float("inf"):
            raise BadOption(
                f"{self.term.label}: this term's gradient on this picture is {found:g}, so it cannot be "
                f"balanced against the others. Choose another layer or channel, or set balance = false."
                f"{self.term.if_zero()}"
            )
        return 1 / strength


class _Labelled:
    """Puts a term's label before what it says of its options, so that the recipe's key can be found."""

    def __init__(self, term: Term) -> None:
        self._term = term

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._term.label and isinstance(error, BadOption) and not isinstance(error, UnknownTap):
            raise BadOption(prefixed(self._term, str(error))) from error

"""Several weighted terms as one objective of the engine.

Factors are numbers of each picture, so pictures with other weights share passes; an objective that stands alone is
passed on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_engine.records import Check, Objective, Prepare
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.resolving.parts import FACTOR, Part, is_per_picture, prefixed
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations, Look


def compose(terms: tuple[Term, ...], *, balance: bool) -> Objective:
    """Return the sum of ``terms``; with ``balance`` each is first brought to the strength 1 on every picture."""
    parts = [Part(term, balance=balance and len(terms) > 1) for term in terms]
    static = {name: value for part in parts for name, value in part.static().items()}
    taps = {tap for part in parts for tap in part.taps}
    return Objective(
        key=parts[0].key() if parts[0].is_alone else ("sum", *(part.key() for part in parts)),
        taps=tuple(sorted(taps)),
        score=Scores(tuple(parts)),
        static=static,
        check=_check_all(parts) if any(part.checks for part in parts) else None,
        prepare=_prepare_all(parts) if any(part.prepares for part in parts) else None,
        needs_source=any(term.objective.spec.needs_source for term in terms),
    )


def picture_options(terms: tuple[Term, ...]) -> dict[str, int | float]:
    """Return the numbers that pictures sharing a pass may have of their own: per-picture options, and factors."""
    found: dict[str, int | float] = {}
    for term in terms:
        if term.label:
            found[prefixed(term, FACTOR)] = term.factor
        for option in term.objective.spec.options:
            value = term.objective.options[option.name]
            if is_per_picture(option) and isinstance(value, int | float):
                found[prefixed(term, option.name)] = value
    return found


@dataclass(frozen=True)
class Scores:
    """The sum of the parts' scores, ``(N,)``."""

    parts: tuple[Part, ...]

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Whose scores these are."""
        return tuple(part.guard for part in self.parts)

    def __call__(self, activations: Activations, options: Mapping[str, object]) -> Tensor:
        total = self.parts[0].score(activations, options)
        for part in self.parts[1:]:
            total = total + part.score(activations, options)
        return total


def _check_all(parts: Sequence[Part]) -> Check:
    def check(shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, object]) -> None:
        for part in parts:
            part.check(shapes, options)

    return check


def _prepare_all(parts: Sequence[Part]) -> Prepare:
    def prepare(look: Look, options: Mapping[str, object]) -> Mapping[str, Tensor]:
        return {name: tensor for part in parts for name, tensor in part.prepare(look, options).items()}

    return prepare

"""A photo's atlas: its dream at every layer on one numbered sheet, and the layer that a number on it stands for.

Which layers a network has is known only where it is loaded. So a recipe says ``all``, or names, or a number, and
whoever dreams it tells the layers, in their order, of which the number is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.options import Value, fill
from deepdream_plugins.records import ClassName, ObjectiveSpec, Option, Tap
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.layers import Placed
from deepdream_plugins.resolving.looking_up import placed_values
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

ALL = "all"
ATLAS = (
    Option(
        name="layers",
        type=str,
        default=(ALL,),  # type: ignore[arg-type]
        many=True,
        help="which layers, in this order; all is every layer of the network",
    ),
    Option(
        name="cell_px",
        type=int,
        default=320,
        minimum=64,
        maximum=1024,
        help="longer side of each dream, in pixels: a photo that is larger is shrunk before it is dreamt",
    ),
    Option(name="columns", type=int, default=4, minimum=1, maximum=12, help="dreams side by side"),
    Option(
        name="pick",
        type=int,
        default=0,
        minimum=0,
        maximum=9999,
        help="dream the photo in full, at the layer of this number on the sheet; 0 makes the sheet",
    ),
)
"""Keys of a recipe's table ``atlas``."""


@dataclass(frozen=True, kw_only=True)
class AtlasRecipe:
    """The values of ``ATLAS``; ``place`` is where the table stands."""

    layers: tuple[str, ...]
    cell_px: int
    columns: int
    pick: int
    place: str = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what a recipe says under ``atlas`` to get this."""
        return {"layers": list(self.layers), "cell_px": self.cell_px, "columns": self.columns, "pick": self.pick}

    def chosen(self, known: Sequence[str], aliases: Mapping[str, str]) -> tuple[str, ...]:
        """Return the layers in the order of their numbers, of those that the network is ``known`` to have; ``aliases``
        are other names for them. Raises ``BadOption``."""
        if self.layers == (ALL,):
            return tuple(known)
        found = [aliases.get(name, name) for name in self.layers]
        for name, real in zip(self.layers, found, strict=True):
            if real not in known:
                raise BadOption(f"{self.place}: layers: {unknown('layer', name, known)}")
        return tuple(dict.fromkeys(found))

    def check_pick(self, count: int) -> None:
        """Raise ``BadOption`` if a sheet of ``count`` layers has not the number that is picked."""
        if self.pick > count:
            raise BadOption(f"{self.place}: pick: the sheet has no number {self.pick}; choose one from 1 to {count}.")


def at_layer(recipe: ResolvedRecipe, layer: str) -> ResolvedRecipe:
    """Return ``recipe`` with all of its objectives at ``layer``, and no atlas."""
    terms = tuple(replace(term, objective=_at(term.objective, layer)) for term in recipe.terms)
    return replace(recipe, terms=terms, atlas=None)


def build_atlas(tables: Mapping[str, Mapping[str, Placed]], terms: Sequence[Term]) -> AtlasRecipe | None:
    """Return the atlas of a recipe that maximises ``terms``, if it has one; anything wrong is a ``BadOption``."""
    table = tables.get("atlas")
    if table is None:
        return None
    values: dict[str, Any] = fill(ATLAS, *placed_values(table, "atlas"), of="atlas")
    place = next((placed.where() for placed in table.values()), "atlas")
    if "journey" in tables:
        raise BadOption(f"{place}: a recipe has either an atlas or a journey; remove one of them.")
    if not any(_taps(term.objective.spec) for term in terms):
        names = ", ".join(term.objective.spec.name for term in terms)
        raise BadOption(
            f"{place}: an atlas dreams at one layer after the other, but the objective {names} has none to choose; "
            f'take one that has, such as objective = "l2".'
        )
    return AtlasRecipe(place=place, **values)


def _at(objective: Configured[ObjectiveSpec], layer: str) -> Configured[ObjectiveSpec]:
    changed = {option.name: (layer,) if option.many else layer for option in _taps(objective.spec)}
    return replace(objective, options=cast("Mapping[str, Value]", {**objective.options, **changed}))


def _taps(spec: ObjectiveSpec) -> list[Option]:
    """Return the options that choose a layer; what is about a class is about the network's output alone."""
    if any(option.type is ClassName for option in spec.options):
        return []
    return [option for option in spec.options if option.type is Tap]

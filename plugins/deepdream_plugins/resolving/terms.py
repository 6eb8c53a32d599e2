"""What a recipe maximises: an objective, or an expression of several, becomes a tuple of :class:`Term`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.options import Item
from deepdream_plugins.records import ObjectiveSpec
from deepdream_plugins.resolving import algebra
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.keys import MASK, NO_MASK
from deepdream_plugins.resolving.layers import Merged, Named, Placed
from deepdream_plugins.resolving.looking_up import Fitting, look_up
from deepdream_plugins.unknown_name import UnknownName

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Shelf
    from deepdream_plugins.hosting.host import Owned

_TERM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One objective in a weighted sum. ``label`` tells it from the others; it is empty for an objective that stands
    alone without a factor. ``mask`` is the path of a picture, ``""`` for the companion, or ``None``. ``classes``
    is how many the model names, for objectives about one of them. ``place`` is where a term of the ``terms`` table
    stands.
    """

    label: str
    factor: float
    objective: Configured[ObjectiveSpec]
    mask: str | None = None
    classes: int | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)

    def to_dict(self) -> dict[str, Item | list[Item]]:
        """Return what a recipe says to get this, without the factor."""
        data = self.objective.to_dict()
        return data if self.mask is None else {**data, MASK.name: self.mask}

    def if_zero(self) -> str:
        """Return why its gradient may be zero and what to do, or ``""`` if nothing is known."""
        text = self.objective.spec.if_zero
        return f" {text.format_map(self.objective.options)}" if text else ""

    def where(self, option: str) -> str:
        """Return the place of an option, or of the term if nobody wrote that option."""
        places = self.objective.places
        return places.get(option) or self.place or places.get("name", "")


def expression_of(terms: tuple[Term, ...]) -> str:
    """Return the expression that says how labelled terms are weighted; reading it gives the same factors."""
    text = ""
    for term in terms:
        size = abs(term.factor)
        weighted = term.label if size == 1 else f"{size!r} * {term.label}"
        minus = term.factor < 0
        text += (f" {'-' if minus else '+'} " if text else "-" if minus else "") + weighted
    return text


class TermBuilder:
    """Resolves objectives and their terms against one shelf of objectives and one model."""

    def __init__(self, shelf: Shelf[ObjectiveSpec], merged: Merged, fitting: Fitting) -> None:
        self._shelf = shelf
        self._named: Mapping[str, Named] = merged.terms
        self._table = merged.tables["objective"]
        self._fitting = fitting

    def build(self) -> tuple[Term, ...]:
        """Return the terms; anything wrong is a :class:`BadOption` with its place."""
        terms = self._build()
        if all(term.objective.spec.only_added for term in terms):
            name = terms[0].objective.spec.name
            raise BadOption(
                f"{self._table['name'].where()}: {name} alone has no effect: at the source itself, where every dream "
                f'begins, its gradient is zero. Add it to another term, as in objective = "l2 + 0.5 * {name}".'
            )
        return terms

    def _build(self) -> tuple[Term, ...]:
        for name, named in self._named.items():
            if not _TERM_NAME.fullmatch(name) or keyword.iskeyword(name):
                raise BadOption(
                    f"{named.where()}: {name!r} cannot name a term; use letters, digits and '_' (no Python keyword)."
                )
        written = self._table["name"]
        if not isinstance(written.value, str):
            return (self._plain(self._table),)
        text = written.value.strip()
        is_known = text in self._shelf and text not in self._named
        # What is only a name is meant as one, so that a misspelt objective is not called a bad expression.
        is_name = algebra.is_plain_name(text) and text not in self._named
        if is_known:
            self._need_no_terms(written)
        if is_known or is_name:
            return (self._plain(self._table),)
        self._need_no_options(text)
        return self._summed(text, written)

    def _plain(self, table: dict[str, Placed]) -> Term:
        name = table["name"]
        try:
            owned = look_up(self._shelf, name.value, name.where())
        except UnknownName as error:
            terms = ", ".join(self._named) or "none"
            more = f"Names are looked up in the recipe's terms table, then among the objectives. Terms: {terms}."
            raise error.at("", more) from None
        return self._term("", 1.0, owned, table)

    def _summed(self, text: str, written: Placed) -> tuple[Term, ...]:
        weighted = algebra.parse(text, written.where())
        is_alone = len(weighted) == 1 and weighted[0].factor == 1
        labels: set[str] = set(self._named)
        terms = []
        for item in weighted:
            if item.options is None and item.name in self._named:
                named = self._named[item.name]
                name = named.items.get("name")
                owned = look_up(self._shelf, name.value if name else None, name.where() if name else named.where())
                terms.append(self._term("" if is_alone else item.name, item.factor, owned, named.items, named.where()))
                continue
            place = f"{written.where()}: column {item.column}"
            owned = self._called(item, place)
            table = {
                key: Placed(value, _called_at(place, item.name, key), written.layer)
                for key, value in (item.options or {}).items()
            }
            if "name" in table:
                raise BadOption(
                    f"{table['name'].where()}: {item.name!r} is the name already, so it takes no option 'name'; "
                    f"write the objective's name before the brackets."
                )
            table["name"] = Placed(item.name, _called_at(place, item.name), written.layer)
            label = item.name
            number = 1
            while label in labels:
                number += 1
                label = f"{item.name}_{number}"
            labels.add(label)
            terms.append(self._term("" if is_alone else label, item.factor, owned, table, place, extra=(MASK.name,)))
        if not any(item.options is None and item.name in self._named for item in weighted):
            self._need_no_terms(written)
        return tuple(terms)

    def _called(self, item: algebra.Weighted, place: str) -> Owned[ObjectiveSpec]:
        if item.name in self._shelf:
            return self._shelf[item.name]
        if item.name in self._named:
            raise BadOption(
                f"{place}: {item.name!r} is a term, which takes no options here; put them into terms.{item.name}."
            )
        missing = self._shelf.missing("term or objective", item.name, [*self._named, *self._shelf])
        raise missing.at(place, "Names are looked up in the recipe's terms table, then among the objectives.")

    def _term(
        self,
        label: str,
        factor: float,
        owned: Owned[ObjectiveSpec],
        table: Mapping[str, Placed],
        place: str = "",
        *,
        extra: tuple[str, ...] = ("name", MASK.name),
    ) -> Term:
        objective = self._fitting.objective(owned, table, extra)
        mask = self._fitting.mask(table[MASK.name]) if MASK.name in table else None
        return Term(
            label=label,
            factor=factor,
            objective=objective,
            mask=None if mask == NO_MASK else mask,
            classes=self._fitting.classes(owned.spec),
            place=place,
        )

    def _need_no_options(self, text: str) -> None:
        """Refuse ``objective.layer = …`` laid over an expression, which has no layer of its own."""
        for key, item in self._table.items():
            if key == "name":
                continue
            what = f"the expression {text!r}"
            if text in self._named:
                hides = ", which hides the objective of that name" if text in self._shelf else ""
                what = f"the term {text!r} of the terms table{hides}"
            raise BadOption(
                f"{item.where()}: the objective is {what}, and an option {key!r} beside it has no meaning; "
                f"{self._belongs(key, text)}."
            )

    def _belongs(self, key: str, text: str) -> str:
        """Return where an option goes, given the names in an expression."""
        for name in re.findall(r"[^\W\d]\w*", text):
            if name in self._named:
                of = self._named[name].items.get("name")
                objective, into = of.value if of else None, f"terms.{name}.{key} = …"
            else:
                objective, into = name, f"the brackets of an objective: {name}({key} = …)"
            if self._takes(objective, key):
                return f"put it into {into}"
        return "none of its terms has such an option"

    def _takes(self, objective: object, key: str) -> bool:
        if not isinstance(objective, str) or objective not in self._shelf:
            return False
        return key == MASK.name or any(option.name == key for option in self._shelf[objective].spec.options)

    def _need_no_terms(self, written: Placed) -> None:
        """Refuse terms that came with, or after, an objective that uses none of them."""
        newest = max((item.layer for named in self._named.values() for item in named.items.values()), default=-1)
        if newest >= written.layer:
            first = next(iter(self._named))
            raise BadOption(
                f"{self._named[first].where()}: the objective, {written.value!r}, uses none of the terms "
                f'{", ".join(self._named)}; write for example objective = "{first}".'
            )


def _called_at(place: str, name: str, *inner: str) -> Callable[..., str]:
    def where(*keys: object) -> str:
        return f"{place}: {'.'.join([name, *inner])}{''.join(f'[{key}]' for key in keys)}"

    return where

"""Layers of one recipe, from the oldest ancestor to the newest override, laid over each other.

Every value keeps its place, so that an error found after merging still names the line that is to be mended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepdream_engine.errors import BadOption
from deepdream_plugins.options import Where

NAMED_TABLES = ("model", "objective", "ascent", "schedule")
"""Keys whose value is ``{ name = …, options }`` or just the name; a new name starts them afresh. An objective's
expression stands where the name stands."""
PLAIN_TABLES = ("output", "journey", "film", "video", "atlas")
TERMS = "terms"
"""The key whose value is a table of such tables, by the names of the terms."""


@dataclass(frozen=True)
class Layer:
    """A table as somebody wrote it, and where: ``where(*keys)`` with keys below the table."""

    table: Mapping[str, Any]
    where: Where


@dataclass(frozen=True)
class Placed:
    """A value, the place it was written at, and the number of its layer."""

    value: Any
    where: Where
    layer: int


@dataclass(frozen=True)
class Named:
    """The items of one ``{ name = …, options }``, from whichever layers, and the place of the whole."""

    where: Where
    items: dict[str, Placed] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """All layers in one: single values, and tables whose items come from different layers."""

    values: dict[str, Placed] = field(default_factory=dict)
    tables: dict[str, dict[str, Placed]] = field(default_factory=dict)
    terms: dict[str, Named] = field(default_factory=dict)


def merge(layers: Sequence[Layer]) -> Merged:
    """Lay ``layers`` over each other: values and lists replace, tables merge key by key.

    Neighbours of one source, such as the ``--set`` of a command line, count as one layer: their order only matters
    where they say the same key twice.
    """
    merged = Merged()
    number = -1
    source: str | None = None
    for layer in layers:
        if (place := layer.where()) != source:
            number, source = number + 1, place
        for key, value in layer.table.items():
            where = _below(layer.where, key)
            if key in NAMED_TABLES:
                table, at = as_table(value, where)
                _lay_over(merged.tables.setdefault(key, {}), table, at, number)
            elif key in PLAIN_TABLES:
                table, at = as_table(value, where, named=False)
                merged.tables.setdefault(key, {}).update(_placed(table, at, number))
            elif key == TERMS:
                terms, _ = as_table(value, where, named=False)
                for name, term in terms.items():
                    term_where = _below(where, name)
                    table, at = as_table(term, term_where)
                    _lay_over(merged.terms.setdefault(name, Named(term_where)).items, table, at, number)
            else:
                merged.values[key] = Placed(value, where, number)
    return merged


def as_table(value: object, where: Where, *, named: bool = True) -> tuple[Mapping[str, Any], Where]:
    """Return ``value`` as a table, a bare name as ``{"name": …}``, with the places of its keys."""
    if isinstance(value, Mapping):
        return value, where
    if named and isinstance(value, str):
        return {"name": value}, lambda *keys: where(*keys[1:])
    kind = "a name, or a table with a name" if named else "a table"
    raise BadOption(f"{where()}: {value!r} is not {kind}.")


def _lay_over(under: dict[str, Placed], table: Mapping[str, Any], place: Where, number: int) -> None:
    """Lay a named table over an older one: another name forgets the older one's options, but not what the same layer
    says without naming something else."""
    if "name" in under and table.get("name") == under["name"].value:
        table = {name: item for name, item in table.items() if name != "name"}
    elif "name" in table:
        renamed = "name" in under and under["name"].layer == number
        for key in [key for key, item in under.items() if renamed or item.layer < number]:
            del under[key]
    under.update(_placed(table, place, number))


def _placed(table: Mapping[str, Any], where: Where, number: int) -> dict[str, Placed]:
    return {key: Placed(value, _below(where, key), number) for key, value in table.items()}


def _below(where: Where, key: str) -> Where:
    return lambda *keys: where(key, *keys)

"""The recipe book: all recipes by name, the user's over the built-in ones, and how to resolve them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.options import Where
from deepdream_plugins.resolving.building import Builder
from deepdream_plugins.resolving.layers import Layer
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.toml_source import TomlSource, dotted

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue

_NAME = re.compile(r"\w[\w-]*")


class RecipeBook:
    """The built-in recipes, and ``tables``, the configuration's ``recipes``, over them.

    ``where("recipes", name, key, …)`` names a place of ``tables`` for messages; ``base_dir`` is what relative
    ``weights`` are relative to. A user's recipe of a built-in name replaces it, and may have it as its
    ``base``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        where: Where | None = None,
        *,
        base_dir: Path | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._builder = Builder(catalogue, base_dir or Path())
        source = _built_in()
        self._built_in = {
            name: Layer(table, _prefixed(source.where, name)) for name, table in source.data["recipes"].items()
        }
        place = where or dotted
        self._own: dict[str, Layer] = {}
        for name, table in (tables or {}).items():
            if not _NAME.fullmatch(name):
                raise BadOption(
                    f"{place('recipes', name)}: {name!r} cannot name a recipe, as file names contain it; "
                    f"use letters, digits, '-' and '_'."
                )
            if not isinstance(table, Mapping):
                raise BadOption(f"{place('recipes', name)}: {table!r} is not a table; write [recipes.{name}].")
            self._own[name] = Layer(table, _prefixed(place, name))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all recipes: the built-in ones, then the user's, each in the order of their file."""
        return tuple(dict.fromkeys([*self._built_in, *self._own]))

    def describe(self, name: str) -> str:
        """Return the recipe's own ``help``, or in what it differs from its base."""
        table = self._find(name).table
        if isinstance(text := table.get("help"), str) and text:
            return text
        changed = ", ".join(key for key in table if key not in ("base", "help"))
        base = f"like {table['base']}" if "base" in table else "the defaults"
        return f"{base}, with its own {changed}" if changed else base

    def owner(self, name: str) -> str:
        """Return ``built-in``, or the file and line that define the recipe."""
        layer = self._find(name)
        return layer.where().rpartition(": ")[0] if name in self._own else "built-in"

    def check(self) -> dict[str, BadOption]:
        """Return the recipes that cannot be resolved, each with what is wrong."""
        wrong: dict[str, BadOption] = {}
        for name in self.names:
            try:
                self.resolve(name)
            except BadOption as error:
                wrong[name] = error
        return wrong

    def resolve(self, name: str, overrides: Sequence[tuple[Mapping[str, Any], Where]] = ()) -> ResolvedRecipe:
        """Return the recipe ``name`` with ``overrides`` laid over it, the last on top.

        Each override is a table like a recipe's and the ``where(*keys)`` of its keys. The last ``base`` among them
        takes that recipe, and its name, instead of ``name``; it goes below all overrides, also those before it.
        Anything wrong is a :class:`BadOption`.
        """
        for table, where in overrides:
            if "base" in table:
                name = self._base(table["base"], where)
        return self._builder.build(name, [*self._chain(name), *(Layer(table, where) for table, where in overrides)])

    def from_dict(self, data: Mapping[str, Any], where: Where | None = None) -> ResolvedRecipe:
        """Rebuild a recipe from its :meth:`ResolvedRecipe.to_dict`."""
        place = where or (lambda *keys: f"embedded recipe: {dotted(*keys)}")
        table = {key: value for key, value in data.items() if key != "name"}
        name = data.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or "base" in table:
            raise BadOption(f"{place('name')}: {name!r} is not the name of a recipe made by DeepDream.")
        return self._builder.build(name, [Layer(table, place)])

    def _find(self, name: str) -> Layer:
        layer = self._own.get(name) or self._built_in.get(name)
        if layer is None:
            raise BadOption(unknown("recipe", name, self.names))
        return layer

    def _base(self, base: object, where: Where) -> str:
        if not isinstance(base, str) or base not in self.names:
            raise BadOption(f"{where('base')}: {unknown('recipe', str(base), self.names)}")
        return base

    def _chain(self, name: str) -> list[Layer]:
        """Return the layers of a recipe, its oldest ancestor first."""
        layers = [self._find(name)]
        trail = [name]
        while "base" in layers[0].table:
            child = layers[0]
            base = self._base(child.table["base"], child.where)
            if base == trail[-1] and base in self._built_in and child is not self._built_in[base]:
                layers.insert(0, self._built_in[base])  # the user's recipe over the built-in one of the same name
                continue
            if base in trail:
                raise BadOption(
                    f"{child.where('base')}: recipes inherit in a circle: {' -> '.join([*trail, base])}; "
                    f"remove one base."
                )
            trail.append(base)
            layers.insert(0, self._find(base))
        return layers


def parse_set(text: str) -> dict[str, Any]:
    """Return ``objective.layer=mixed4b`` as ``{"objective": {"layer": "mixed4b"}}``.

    The value is read as TOML (``6``, ``true``, ``["sharpen"]``); what is no TOML is taken as a string.
    """
    key, equals, value = text.partition("=")
    try:
        table = tomllib.loads(f"{key} = ''") if equals and "\n" not in text else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        table = {}
    if not table:
        raise BadOption(f"--set {text!r} is not KEY=VALUE; write for example --set octaves=6")
    try:
        return tomllib.loads(f"{key} = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        inner = table
        while isinstance(below := next(iter(inner.values())), dict):
            inner = below
        inner[next(iter(inner))] = value.strip()
        return table


def _built_in() -> TomlSource:
    text = files("deepdream_plugins").joinpath("builtin/recipes.toml").read_text(encoding="utf-8")
    return TomlSource.parse(text, "recipes.toml (built-in)")


def _prefixed(where: Where, name: str) -> Where:
    return lambda *keys: where("recipes", name, *keys)

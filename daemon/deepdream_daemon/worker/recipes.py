"""Recipes on their way to the worker: what they say, and where each of it stands.

The places are sent too, since the worker's messages about a recipe are read by whoever wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook
    from deepdream_plugins.resolving.configured import Configured
    from deepdream_plugins.resolving.resolved import ResolvedRecipe
    from deepdream_plugins.resolving.terms import Term

_PLACES = ("weights_place", "default_tap_place", "place", "mask_place")
_KEPT = 256


def packed(recipe: ResolvedRecipe) -> str:
    """Return all of ``recipe`` as text; equal texts are equal recipes."""
    places = {
        **{name: getattr(recipe, name) for name in _PLACES},
        "atlas": "" if recipe.atlas is None else recipe.atlas.place,
        "terms": [[term.place, dict(term.objective.places)] for term in recipe.terms],
        "ascent": dict(recipe.ascent.places),
        "arrangement": dict(recipe.arrangement.places),
        **{name: [dict(each.places) for each in getattr(recipe, name)] for name in _LISTS},
    }
    return json.dumps({"recipe": recipe.to_dict(), "places": places}, sort_keys=True)


_LISTS = ("transforms", "prefilters", "postfilters")


class Recipes:
    """Rebuilds recipes in the worker, each once."""

    def __init__(self, book: RecipeBook) -> None:
        self._book = book
        self.unpacked = lru_cache(_KEPT)(self._unpacked)

    def _unpacked(self, text: str) -> ResolvedRecipe:
        """Return the recipe that :func:`packed` made ``text`` of."""
        data = json.loads(text)
        recipe, places = self._book.from_dict(data["recipe"]), data["places"]
        changes: dict[str, Any] = {name: places[name] for name in _PLACES}
        changes["terms"] = tuple(map(_term_at, recipe.terms, places["terms"]))
        for name in ("ascent", "arrangement"):
            changes[name] = _at(getattr(recipe, name), places[name])
        if recipe.atlas is not None:
            changes["atlas"] = replace(recipe.atlas, place=places["atlas"])
        for name in _LISTS:
            changes[name] = tuple(map(_at, getattr(recipe, name), places[name]))
        return replace(recipe, **changes)


def _term_at(term: Term, places: Sequence[Any]) -> Term:
    return replace(term, place=places[0], objective=_at(term.objective, places[1]))


def _at(part: Configured[Any], places: Mapping[str, str]) -> Configured[Any]:
    return replace(part, places=places)

"""From the merged tables of a recipe to its :class:`~deepdream_plugins.resolving.moving.JourneyRecipe`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.motion.timeline import Timeline, Track
from deepdream_engine.records import Schedule
from deepdream_plugins.options import Value, Where, coerce
from deepdream_plugins.records import Option
from deepdream_plugins.resolving.layers import Merged, Named, Placed, as_table
from deepdream_plugins.resolving.moving import JourneyRecipe, SegmentRecipe
from deepdream_plugins.resolving.moving_keys import JOURNEY, LENGTH, SEGMENT, SEGMENTS, WEIGHT
from deepdream_plugins.resolving.terms import Term

Build = Callable[[Merged], tuple[Term, ...]]
MOST_SEGMENTS = 1000
MOST_FRAMES = 1_000_000
_OWN = ("objective", "terms", LENGTH.name, WEIGHT.name)


class JourneyBuilder:
    """Resolves the table ``journey``; ``build`` resolves an objective, ``schedule`` and ``own`` are the recipe's."""

    def __init__(self, merged: Merged, build: Build, schedule: Schedule, own: tuple[Term, ...]) -> None:
        self._merged = merged
        self._table = merged.tables.get("journey", {})
        self._build = build
        self._own = own
        self._size = max(schedule.step_size) if isinstance(schedule.step_size, tuple) else schedule.step_size
        self._above = schedule.octaves_above

    def build(self) -> JourneyRecipe | None:
        """Return the journey, if the recipe has one; anything wrong is a :class:`BadOption` with its place."""
        if not self._table:
            return None
        known = [*(option.name for option in (*JOURNEY, *SEGMENT)), SEGMENTS]
        for key, placed in self._table.items():
            if key not in known:
                raise BadOption(f"{placed.where()}: {unknown('key of a journey', key, known)}")
        whole: dict[str, Any] = {option.name: _value(option, self._table) for option in JOURNEY}
        segments = tuple(self._segments())
        timeline = self._timeline(segments, whole["frames"], whole.pop("way"))
        return JourneyRecipe(segments=segments, timeline=timeline, **whole)

    def _timeline(self, segments: tuple[SegmentRecipe, ...], frames: int, way: str) -> Timeline:
        place = self._table["way" if "way" in self._table else next(iter(self._table))].where()
        try:
            timeline = Timeline(
                segments=tuple(segment.on_timeline(frames, self._size) for segment in segments), way=way
            )
        except BadOption as error:
            raise BadOption(f"{place}: {error}") from None
        if timeline.shown > MOST_FRAMES:
            raise BadOption(f"{place}: the film has {timeline.shown} frames; the most is {MOST_FRAMES}.")
        return timeline

    def _segments(self) -> Iterator[SegmentRecipe]:
        placed = self._table.get(SEGMENTS)
        if placed is None:
            yield self._segment({}, next(iter(self._table.values())).where, 0)
            return
        if not isinstance(placed.value, list | tuple) or not placed.value:
            raise BadOption(
                f"{placed.where()}: {placed.value!r} is not a list of segments; write [{{ objective = … }}]."
            )
        if len(placed.value) > MOST_SEGMENTS:
            raise BadOption(f"{placed.where()}: {len(placed.value)} segments; the most is {MOST_SEGMENTS}.")
        for index, item in enumerate(placed.value):
            table, where = as_table(item, partial(placed.where, index), named=False)
            yield self._segment(table, where, placed.layer)

    def _segment(self, table: Mapping[str, Any], where: Where, layer: int) -> SegmentRecipe:
        known = [*_OWN, *(option.name for option in SEGMENT)]
        for key in table:
            if key not in known:
                raise BadOption(f"{where(key)}: {unknown('key of a segment', key, known)}")
        said = {key: Placed(value, partial(where, key), layer) for key, value in table.items()}
        # What was laid over the list of segments, such as --set journey.zoom=1.01, holds for them all.
        over = {key: item for key, item in self._table.items() if key not in said or item.layer > layer}
        found = {option.name: _value(option, {**said, **over}) for option in SEGMENT}
        octaves = found["octaves"]
        if isinstance(octaves, int) and octaves <= self._above:
            raise BadOption(
                f"{where('octaves')}: {octaves} octaves leave none for the picture itself, as octaves_above is "
                f"{self._above}; give more."
            )
        terms = self._terms(said, layer)
        return SegmentRecipe(
            terms=terms,
            length=cast(float, _value(LENGTH, said)),
            values={key: value for key, value in found.items() if value is not None},
            weights=_weights(said.get(WEIGHT.name), terms),
        )

    def _terms(self, said: Mapping[str, Placed], layer: int) -> tuple[Term, ...]:
        """Return what a segment maximises: what it says itself, or the recipe's own objective."""
        if "objective" not in said:
            if "terms" in said:
                raise BadOption(f'{said["terms"].where()}: terms without an objective; write objective = "a + b".')
            return self._own
        written = said["objective"]
        table, where = as_table(written.value, written.where)
        objective = {key: Placed(value, partial(where, key), layer) for key, value in table.items()}
        objective.setdefault("name", self._merged.tables["objective"]["name"])
        # Terms of the recipe are there for all segments, so that one may do without; a segment's own are for itself.
        shared = self._merged.terms
        named = dict(shared) if any(_names(written.value, name) for name in shared) else {}
        if "terms" in said:
            terms, place = as_table(said["terms"].value, said["terms"].where, named=False)
            for name, term in terms.items():
                inner, at = as_table(term, partial(place, name))
                items = {key: Placed(value, partial(at, key), layer) for key, value in inner.items()}
                named[name] = Named(partial(place, name), items)
        tables = {**self._merged.tables, "objective": objective}
        return self._build(Merged(values=self._merged.values, tables=tables, terms=named))


def without_journeys_terms(merged: Merged) -> Merged:
    """Return ``merged`` as the recipe's own objective may see it: terms that it does not use may be for segments."""
    own = merged.tables["objective"]["name"].value
    if "journey" not in merged.tables or any(_names(own, name) for name in merged.terms):
        return merged
    return replace(merged, terms={})


def _names(expression: object, term: str) -> bool:
    """Tell whether an objective may be about a term: a table is one objective, and no expression."""
    return isinstance(expression, str) and re.search(rf"\b{re.escape(term)}\b", expression) is not None


def _value(option: Option, table: Mapping[str, Placed]) -> Value | None:
    placed = table.get(option.name)
    return cast("Value | None", option.default) if placed is None else coerce(option, placed.value, placed.where)


def _weights(placed: Placed | None, terms: tuple[Term, ...]) -> dict[str, Track]:
    """Return the keyframes of the terms' weights, by the terms' names."""
    if placed is None:
        return {}
    labels = [term.label for term in terms if term.label]
    table, where = as_table(placed.value, placed.where, named=False)
    for name in table:
        if name not in labels:
            raise BadOption(f"{where(name)}: {unknown('term of this segment', name, labels)}")
    return {name: cast(Track, coerce(WEIGHT, value, partial(where, name))) for name, value in table.items()}

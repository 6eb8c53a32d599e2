"""The JSON schema (draft 2020-12) of recipes, made of their keys and of every record's options.

An editor completes names, keys and choices from it, and it refuses what the recipe book refuses, as far as a schema
can: it knows nothing of a model's layers, nor what a recipe inherits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepdream_plugins.describing.option_schema import (
    Records,
    Schema,
    helps_of,
    listed,
    offers,
    option_schema,
    options_of,
    record,
    reference,
    suggested,
    table_schema,
)
from deepdream_plugins.own_models.tables import ARGUMENTS, OPTIONS, SOURCES
from deepdream_plugins.records import Option
from deepdream_plugins.resolving.atlas import ATLAS
from deepdream_plugins.resolving.keys import MASK, OUTPUT, PER_OCTAVE, SCHEDULE, SINGLE, WEIGHTS
from deepdream_plugins.resolving.moving_keys import FILM, JOURNEY, LENGTH, SEGMENT, VIDEO, WEIGHT

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue
    from deepdream_plugins.hosting.host import Owned
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

_MOST_OCTAVES = next(option for option in SCHEDULE if option.name == "octaves").maximum
_TERM_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
_EXPRESSION = r"\W|^\d"
"""What an expression of terms has, and a plain name has not."""


def recipe_schemas(catalogue: Catalogue, recipes: Mapping[str, str], defaults: ResolvedRecipe) -> dict[str, Schema]:
    """Return the definitions ``recipe`` and ``sinks``, and those they refer to under ``#/$defs/``.

    ``recipes`` are the known recipes with what each does, to be offered as bases; ``defaults`` is the recipe that says
    nothing.
    """
    options = {key: options_of(shelf) for key, shelf in _shelves(catalogue).items()}
    options["model"] = dict.fromkeys(catalogue.models, (replace(WEIGHTS, default=""),))  # which need not be given
    options["objective"] = {name: (*own, MASK) for name, own in options["objective"].items()}
    only_added = {name for name, owned in catalogue.objectives.items() if owned.spec.only_added}
    default = {
        "model": defaults.model.spec.name,
        "objective": defaults.terms[0].objective.spec.name,
        "ascent": defaults.ascent.spec.name,
        "schedule": defaults.arrangement.spec.name,
    }
    # Over a base: what it says and this does not is inherited, needed options and terms among it.
    inheriting = {key: record(key, options[key], whole=False) for key in ("model", "ascent", "schedule")}
    inheriting["objective"] = record("objective", options["objective"], whole=False, other=".")
    inheriting["terms"] = _terms(record("objective", options["objective"], whole=False))
    complete = {key: record(key, options[key], default=default[key]) for key in ("model", "ascent", "schedule")}
    alone = {name: own for name, own in options["objective"].items() if name not in only_added}
    complete["objective"] = record("objective", alone, default=default["objective"], other=_EXPRESSION)
    complete["sum"] = record("objective", options["objective"], default=default["objective"], other=".")
    complete["terms"] = _terms(record("objective", options["objective"]))
    return {
        "recipe": _recipe(catalogue, options, recipes),
        "sinks": {"description": "where dreams are brought to, beside the output", **listed("sinks", catalogue.sinks)},
        **{f"inheriting.{key}": schema for key, schema in inheriting.items()},
        **{f"complete.{key}": schema for key, schema in complete.items()},
        **{
            f"{key}.{name}": _named(table_schema(own))
            for key, records in options.items()
            for name, own in records.items()
        },
    }


def own_model_schema() -> Schema:
    """Return what a table ``[models.NAME]`` may be."""
    table = table_schema(OPTIONS)
    table["properties"][ARGUMENTS] = {"type": "object", "description": "arguments for the builder"}
    in_the_file = dict.fromkeys((WEIGHTS.name, ARGUMENTS), False)
    return {
        **table,
        "oneOf": [{"required": [source.name]} for source in SOURCES],
        "if": {"required": ["file"]},
        "then": {"properties": in_the_file},
    }


def _recipe(catalogue: Catalogue, options: Mapping[str, Records], recipes: Mapping[str, str]) -> Schema:
    shelves = _shelves(catalogue)
    offered = {
        key: offers(options[key], helps_of(shelves[key])) for key in ("model", "objective", "ascent", "schedule")
    }
    lists = {
        "transforms": "what is changed at random before each step, in this order",
        "prefilters": "what is done to the picture before it is dreamt, in this order",
        "postfilters": "what is done to the dream before it is saved, in this order",
    }
    properties = {
        "base": {"description": "the recipe that this one begins with", **suggested(recipes)},
        **offered,
        "terms": {"description": "objectives to be summed, by names", "additionalProperties": offered["objective"]},
        **{option.name: option_schema(option) for option in (*SINGLE, MASK)},
        **{option.name: _of_schedule(option) for option in SCHEDULE},
        **{key: {"description": help, **listed(key, shelves[key])} for key, help in lists.items()},
        "output": {"description": "the file of the dream", **table_schema(OUTPUT)},
        "journey": _journey(offered["objective"]),
        "film": {"description": "how films are written", **table_schema(FILM)},
        "video": {"description": "how the frames of a clip follow from each other", **table_schema(VIDEO)},
        "atlas": {"description": "one dream at every layer, on a numbered sheet", **table_schema(ATLAS)},
    }
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": {"required": ["base"]},
        "then": {"properties": _references("inheriting", [*offered, "terms"])},
        "else": {
            "properties": _references("complete", ["model", "ascent", "schedule", "terms"]),
            "if": {"required": ["terms"]},
            "then": {"properties": {"objective": reference("complete.sum")}},
            "else": {"properties": {"objective": reference("complete.objective")}},
        },
    }


def _journey(objective: Schema) -> Schema:
    """Return what the table ``journey`` may be; names in its segments are completed, and checked by the recipe book."""
    segment = table_schema((*SEGMENT, LENGTH))
    segment["properties"] |= {
        "objective": objective,
        "terms": {"description": "objectives to be summed, by names", "additionalProperties": objective},
        WEIGHT.name: {"description": WEIGHT.help, "type": "object", "additionalProperties": option_schema(WEIGHT)},
    }
    journey = table_schema((*JOURNEY, *SEGMENT))
    journey["properties"]["segments"] = {"description": "one after the other", "type": "array", "items": segment}
    return {"description": "a film that is dreamt frame from frame", **journey}


def _terms(term: Schema) -> Schema:
    return {"type": "object", "additionalProperties": term, "propertyNames": {"pattern": _TERM_NAME}}


def _of_schedule(option: Option) -> Schema:
    if option.name not in PER_OCTAVE:
        return option_schema(option)
    schema = option_schema(replace(option, many=True))
    schema["then"]["maxItems"] = _MOST_OCTAVES
    return schema


def _named(table: Schema) -> Schema:
    return {**table, "properties": {"name": {"type": "string"}, **table["properties"]}}


def _references(group: str, keys: Iterable[str]) -> Schema:
    return {key: reference(f"{group}.{key}") for key in keys}


def _shelves(catalogue: Catalogue) -> dict[str, Mapping[str, Owned[Any]]]:
    """Return the records by the keys that they stand at."""
    return {
        "model": catalogue.models,
        "objective": catalogue.objectives,
        "ascent": catalogue.ascents,
        "schedule": catalogue.schedules,
        "transforms": catalogue.transforms,
        "prefilters": catalogue.prefilters,
        "postfilters": catalogue.postfilters,
        "sinks": catalogue.sinks,
    }

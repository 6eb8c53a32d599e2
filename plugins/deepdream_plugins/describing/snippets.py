"""Lines of ``config.toml`` that use a record, with every option that has a value: they load as they stand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deepdream_plugins.describing.option_schema import is_needed
from deepdream_plugins.hookspecs import (
    ASCENTS,
    MODELS,
    OBJECTIVES,
    POSTFILTERS,
    PREFILTERS,
    SCHEDULES,
    SINKS,
    TRANSFORMS,
    Kind,
)
from deepdream_plugins.options import Item, Value
from deepdream_plugins.records import ClassName, Option

_RECIPE = '[recipes.mine]\nbase = "classic"\n'
_FOLDER = '[[folders]]\ninput = "in"\noutput = "out"\n'
_TABLES = {OBJECTIVES.word: "objective", ASCENTS.word: "ascent", SCHEDULES.word: "schedule"}
_LISTS = {TRANSFORMS.word: "transforms", PREFILTERS.word: "prefilters", POSTFILTERS.word: "postfilters"}

_TEXTS = ("https://example.org/dreams", "/srv/dreams", "s3://bucket/dreams")
"""What texts that must be given mostly are: addresses, of one kind or another."""


def snippet(kind: Kind, spec: Any) -> str:
    """Return a piece of a configuration that uses the record ``spec``, and ends with a line break.

    Options that must be given have the plainest value that fits, and a text that only its user can know is
    ``"..."``.
    """
    name = toml_value(spec.name)
    if kind is MODELS:
        return f"{_RECIPE}model = {name}\nobjective.layer = {toml_value(spec.default_tap)}\n"
    lines = f"name = {name}\n" + "".join(
        f"{option} = {toml_value(value)}\n" for option, value in _checked_values(kind, spec).items()
    )
    if kind is SINKS:
        return f"{_FOLDER}\n[[folders.sinks]]\n{lines}"
    if kind.word in _LISTS:
        return f"{_RECIPE}\n[[recipes.mine.{_LISTS[kind.word]}]]\n{lines}"
    if kind is OBJECTIVES and spec.only_added:
        return f'{_RECIPE}objective = "l2 + 0.5 * added"\n\n[recipes.mine.terms.added]\n{lines}'
    return f"{_RECIPE}\n[recipes.mine.{_TABLES[kind.word]}]\n{lines}"


def toml_value(value: Value) -> str:
    """Return ``value`` as TOML."""
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _checked_values(kind: Kind, spec: Any) -> Mapping[str, Value]:
    """Return the options to show, with texts that the sink's own check takes, if one of ours is such."""
    shown = _values(spec.options, "...")
    if kind is not SINKS or spec.check is None:
        return shown
    unsaid = {option.name: () if option.many else "" for option in spec.options if option.name not in shown}
    for text in _TEXTS:
        tried = _values(spec.options, text)
        try:
            spec.check(**tried, **unsaid)
        except Exception:  # noqa: BLE001  (a plugin's: the lines are shown whatever is wrong with its check)
            continue
        return tried
    return shown


def _values(options: Iterable[Option], text: str) -> Mapping[str, Value]:
    values: dict[str, Value] = {}
    for option in options:
        if option.default is not None and option.default not in ("", ()):
            values[option.name] = option.default
        elif is_needed(option):
            values[option.name] = (_fitting(option, text),) if option.many else _fitting(option, text)
    return values


def _fitting(option: Option, text: str) -> Item:
    """Return the plainest value that an option without a default may have."""
    if option.choices:
        return option.choices[0]
    if option.type is ClassName:
        return 0
    if issubclass(option.type, str):
        return text
    if option.type is bool:
        return True
    low = option.minimum if option.minimum is not None else min(0, option.maximum or 0)
    return option.type(low)

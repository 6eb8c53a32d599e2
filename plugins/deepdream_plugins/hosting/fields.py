"""Values in a record's fields that would fail only later, on the picture that they are needed for."""

from __future__ import annotations

import dataclasses
import math
import string
from collections.abc import Mapping
from typing import Any

from deepdream_plugins.hosting.marking import PluginFault
from deepdream_plugins.records import ModelSpec, ObjectiveSpec, Option, SinkSpec, TapNote


def check_fields(record: Any, of: str) -> None:
    """Refuse fields of the wrong type, or that no network or picture could meet; ``of`` names the record."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.type in ("bool", bool) and not isinstance(value, bool):
            raise PluginFault(f"{of}: {field.name} must be True or False, not {value!r}.")
    if isinstance(record, ModelSpec):
        _check_model(record, of)
    if isinstance(record, SinkSpec) and not _is_number(record.limit_seconds, above=0):
        raise PluginFault(f"{of}: limit_seconds must be a number above 0, not {record.limit_seconds!r}.")
    if isinstance(record, ObjectiveSpec):
        _check_if_zero(record.if_zero, record.options, of)


def _check_model(model: ModelSpec, of: str) -> None:
    for what, above in (("mean", -math.inf), ("std", 0)):
        triple: object = getattr(model, what)
        if not isinstance(triple, tuple) or len(triple) != 3 or not all(_is_number(each, above) for each in triple):
            raise PluginFault(
                f"{of}: {what} must be three numbers{' above 0' if above == 0 else ''}, of red, green and blue, not "
                f"{triple!r}."
            )
    for what in ("min_side_px", "side_px"):
        side: object = getattr(model, what)
        if not isinstance(side, int) or not _is_number(side, above=0):
            raise PluginFault(f"{of}: {what} must be a whole number of pixels from 1, not {side!r}.")
    taps: object = model.taps
    if not isinstance(taps, tuple) or not all(isinstance(tap, TapNote) for tap in taps):
        raise PluginFault(f"{of}: taps must be a tuple of TapNote records, not {taps!r:.80}.")
    aliases: object = model.aliases
    if not isinstance(aliases, Mapping) or not all(isinstance(word, str) for pair in aliases.items() for word in pair):
        raise PluginFault(f"{of}: aliases must map names to names of layers, not {aliases!r:.80}.")


def _is_number(value: object, above: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and above < value < math.inf


def _check_if_zero(text: object, options: object, of: str) -> None:
    """Refuse a text that would fail only on the picture it is needed for."""
    names = {option.name for option in options if isinstance(option, Option)} if isinstance(options, tuple) else set()
    if not isinstance(text, str):
        raise PluginFault(f"{of}: if_zero must be a text, not {text!r}.")
    try:
        told = {str(name) for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise PluginFault(f"{of}: if_zero {text!r}: {error}.") from None
    if not told <= names:
        raise PluginFault(f"{of}: if_zero names {', '.join(sorted(told - names))}, which is no option of it.")


def check_range(option: Option, of: str) -> None:
    """Refuse bounds and choices that no value, or any value, could meet."""
    low, high = (-math.inf if option.minimum is None else option.minimum, option.maximum)
    for bound in (option.minimum, option.maximum):
        if bound is not None and (option.type not in (int, float) or not _is_number(bound, above=-math.inf)):
            raise PluginFault(f"{of}: minimum and maximum are numbers, and for int and float options only.")
    if high is not None and low > high:
        raise PluginFault(f"{of}: its minimum {option.minimum} is above its maximum {option.maximum}.")
    choices: object = option.choices
    if not isinstance(choices, tuple) or not all(isinstance(choice, str) for choice in choices):
        raise PluginFault(f"{of}: choices must be a tuple of texts, not {choices!r:.80}.")
    if choices and option.type is not str:
        raise PluginFault(f"{of}: choices are for str options.")

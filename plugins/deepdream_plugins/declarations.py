"""What a plugin must look like to be taken: its functions marked and known, its records well formed.

Every complaint is a :class:`PluginFault` that says what to mend, with file and line where there is one.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import string
from collections.abc import Iterable
from types import FunctionType

from deepdream_engine.errors import BadOption, DeepDreamError, nearest
from deepdream_plugins.hookspecs import HOOKS, PREFIX, PROJECT, Kind
from deepdream_plugins.options import coerce
from deepdream_plugins.records import ClassName, Option, PictureFile, Tap
from deepdream_plugins.toml_source import dotted

_RECORD_NAME = re.compile(r"\w[\w.-]*")
_FUNCTIONS = ("load", "score", "apply", "direction", "arrange", "deliver", "build", "classes", "check", "prepare")
_MAY_BE_NONE = ("build", "classes", "check", "prepare")
_OPTION_TYPES = (int, float, bool, str, Tap, PictureFile, ClassName)
_OF_OBJECTIVES: dict[type, str] = {
    Tap: "only objectives see taps",
    PictureFile: "only objectives see guides",
    ClassName: "only objectives know classes",
}
_RESERVED = {"name": "that is the record's own", "mask": "every objective has a mask already"}


class PluginFault(DeepDreamError):
    """A plugin is not as the host needs it; the message is for its author."""


def check_functions(plugin: object) -> None:
    """Refuse misspelt hooks and ``deepdream_*`` functions that lack ``@hookimpl``: both would silently do
    nothing.
    """
    for name, function in inspect.getmembers(plugin, inspect.isroutine):
        marked = getattr(function, f"{PROJECT}_impl", None)
        if marked is not None:
            hook = marked.get("specname") or name
            if hook not in HOOKS:
                raise PluginFault(
                    f"{_place(function)}{hook!r} is no hook.{nearest(hook, HOOKS)} Hooks: {', '.join(HOOKS)}."
                )
        elif name.startswith(PREFIX) and getattr(function, "__module__", None) == _module_name(plugin):
            raise PluginFault(f"{_place(function)}{name} is not marked; put @hookimpl on the line above it.")


def checked_records(kind: Kind, result: object) -> list[object]:
    """Return the records that a hook has returned or yielded, or refuse them."""
    if not isinstance(result, Iterable) or isinstance(result, str | bytes):
        raise PluginFault(
            f"{kind.hook} returned {type(result).__name__}, not several {kind.record.__name__} records; "
            f"return a list of them, or yield each."
        )
    found: list[object] = []
    for record in result:
        if not isinstance(record, kind.record):
            raise PluginFault(
                f"{kind.hook} gave a {type(record).__name__} ({str(record)[:60]!r}), not a {kind.record.__name__}."
            )
        _check_record(kind, record)
        found.append(record)
    return found


def _check_record(kind: Kind, record: object) -> None:
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(kind.record)}
    name = values["name"]
    if not isinstance(name, str) or not _RECORD_NAME.fullmatch(name):
        raise PluginFault(f"{kind.hook}: the name {name!r} is not letters, digits, '_', '-' and '.'.")
    of = f"{kind.word} {name!r}"
    for what in ("help", "default_tap", "weights"):
        if what in values and (not isinstance(values[what], str) or not values[what].strip()):
            raise PluginFault(f"{of}: {what} must be a text, not {values[what]!r}.")
    if "if_zero" in values:
        _check_if_zero(values["if_zero"], values["options"], of)
    for what in _FUNCTIONS:
        function = values.get(what)
        if what in values and not callable(function) and not (function is None and what in _MAY_BE_NONE):
            raise PluginFault(f"{of}: {what} must be a function, not {function!r}.")
    options = values.get("options", ())
    if not isinstance(options, tuple) or not all(isinstance(option, Option) for option in options):
        raise PluginFault(f"{of}: options must be a tuple of Option records: options=(Option(...),).")
    names = [option.name for option in options]
    for option in options:
        _check_option(kind, option, f"option {option.name!r} of {of}")
        if names.count(option.name) > 1:
            raise PluginFault(f"option {option.name!r} of {of} is declared twice.")


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


def _check_option(kind: Kind, option: Option, of: str) -> None:
    is_objective = kind.word == "objective"
    if not isinstance(option.name, str) or not option.name.isidentifier():
        raise PluginFault(f"{of}: an option's name is a Python identifier.")
    if option.name == "name" or (is_objective and option.name in _RESERVED):
        raise PluginFault(f"{of}: an option cannot be named {option.name!r}: {_RESERVED[option.name]}.")
    if option.type not in _OPTION_TYPES:
        names = ", ".join(known.__name__ for known in _OPTION_TYPES)
        raise PluginFault(f"{of}: type must be one of {names}, not {option.type!r}.")
    if option.type in _OF_OBJECTIVES and not is_objective:
        raise PluginFault(f"{of}: {_OF_OBJECTIVES[option.type]}.")
    if option.per_picture and (not is_objective or option.type not in (int, float, ClassName)):
        raise PluginFault(f"{of}: per_picture is for an objective's int and float options.")
    if option.many and (option.per_picture or option.type in (bool, PictureFile)):
        raise PluginFault(
            f"{of}: many is for what pictures of a batch have in common, other than bool and PictureFile."
        )
    if isinstance(option.default, tuple) and not option.many:
        raise PluginFault(f"{of}: the default is a tuple; say many=True.")
    if option.default is not None:
        try:
            coerce(option, option.default, lambda *keys: f"default of {of}{dotted(*keys)}")
        except BadOption as error:
            raise PluginFault(str(error)) from error


def _place(function: object) -> str:
    code = getattr(inspect.unwrap(function) if isinstance(function, FunctionType) else function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}: " if code else ""


def _module_name(plugin: object) -> str:
    return plugin.__name__ if inspect.ismodule(plugin) else plugin.__class__.__module__

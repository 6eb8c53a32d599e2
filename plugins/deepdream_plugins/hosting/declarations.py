"""What a plugin's records must look like to be taken.

Every complaint is a :class:`~deepdream_plugins.hosting.marking.PluginFault` that says what to mend.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from deepdream_engine.errors import BadOption
from deepdream_plugins.hookspecs import Kind
from deepdream_plugins.hosting.fields import check_fields, check_range
from deepdream_plugins.hosting.marking import PluginFault
from deepdream_plugins.hosting.signatures import check_signature
from deepdream_plugins.options import coerce
from deepdream_plugins.records import ClassName, File, Option, PictureFile, Tap
from deepdream_plugins.toml_source import dotted

_RECORD_NAME = re.compile(r"\w[\w.-]*")
_FUNCTIONS = ("load", "score", "apply", "direction", "arrange", "deliver", "build", "classes", "check", "prepare")
_MAY_BE_NONE = ("build", "classes", "check", "prepare")
_OPTION_TYPES = (int, float, bool, str, Tap, PictureFile, File, ClassName)
_OF_OBJECTIVES: dict[type, str] = {
    Tap: "only objectives see taps",
    PictureFile: "only objectives see guides",
    ClassName: "only objectives know classes",
}
_RESERVED = {"name": "that is the record's own", "mask": "every objective has a mask already"}


def checked_records(kind: Kind, result: object) -> list[object]:
    """Return the records that a hook has returned or yielded, or refuse them."""
    if result is None:
        raise PluginFault(f"{kind.hook} returned None: yield each record, or return a list of them.")
    if not isinstance(result, Iterable) or isinstance(result, str | bytes):
        raise PluginFault(
            f"{kind.hook} returned {type(result).__name__}, not several {kind.record.__name__} records; "
            f"return a list of them, or yield each."
        )
    found: list[object] = []
    for record in result:
        if type(record) is not kind.record:
            raise PluginFault(
                f"{kind.hook} gave {str(record)[:60]!r} ({type(record).__name__}), not a {kind.record.__name__}; "
                f"return or yield {kind.record.__name__}(name=…, help=…, …)."
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
    check_fields(record, of)
    for what in _FUNCTIONS:
        if values.get(what) is not None:
            check_signature(record, what, values[what], of)


def _check_option(kind: Kind, option: Option, of: str) -> None:
    is_objective = kind.word == "objective"
    if not isinstance(option.name, str) or not option.name.isidentifier():
        raise PluginFault(f"{of}: an option's name is a Python identifier.")
    if option.name == "name" or (is_objective and option.name in _RESERVED):
        raise PluginFault(f"{of}: an option cannot be named {option.name!r}: {_RESERVED[option.name]}.")
    if option.type not in _OPTION_TYPES:
        names = ", ".join(known.__name__ for known in _OPTION_TYPES)
        raise PluginFault(f"{of}: type must be one of {names}, not {option.type!r}.")
    if not isinstance(option.help, str) or not option.help.strip():
        raise PluginFault(f"{of}: help must be a text, not {option.help!r}.")
    check_range(option, of)
    if option.type in _OF_OBJECTIVES and not is_objective:
        raise PluginFault(f"{of}: {_OF_OBJECTIVES[option.type]}.")
    if option.per_picture and (not is_objective or option.type not in (int, float, ClassName)):
        raise PluginFault(f"{of}: per_picture is for an objective's int and float options.")
    if option.many and (option.per_picture or option.type in (bool, PictureFile, File)):
        raise PluginFault(
            f"{of}: many is for what pictures of a batch have in common, other than bool, PictureFile and File."
        )
    if isinstance(option.default, tuple) and not option.many:
        raise PluginFault(f"{of}: the default is a tuple; say many=True.")
    if option.default is not None:
        try:
            coerce(option, option.default, lambda *keys: f"default of {of}{dotted(*keys)}")
        except BadOption as error:
            raise PluginFault(str(error)) from error

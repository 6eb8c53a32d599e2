"""From what the user wrote to what a record gets: every option present, of the declared type, within its
bounds.

:func:`fill` is the only way in; its errors say where the value stands, what it is and what it may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from deepdream_engine.errors import BadOption, nearest, unknown
from deepdream_plugins.records import ClassName, File, Option, PictureFile, Tap

Item = int | float | bool | str
Value = Item | tuple[Item, ...]
Where = Callable[..., str]
"""``where(*keys)`` names the place of a key path for a message, e.g. ``config.toml:12:
recipes.deep.octaves``.
"""

_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?|true|false")
_WORDS: dict[type, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    Tap: "a tap of the model (a string)",
    PictureFile: "a picture (the path of a file, or empty for the one beside the photo)",
    File: "the path of a file",
    ClassName: "a class of the model (its name, or its number from 0)",
}
_MOST_ITEMS = 1000


def fill(
    options: Iterable[Option],
    given: Mapping[str, object],
    where: Where,
    *,
    of: str,
    extra: tuple[str, ...] = (),
) -> dict[str, Value | None]:
    """Return every one of ``options`` with its value from ``given`` or its default, in the order of
    declaration.

    ``of`` names the owner for messages (``objective 'l2'``); ``extra`` are further keys that the caller reads
    by itself. An omitted :class:`Tap` is ``None``, which the caller replaces by the model's default tap.
    """
    declared = {option.name: option for option in options}
    for name in given:
        if name not in declared and name not in extra:
            raise BadOption(f"{where(name)}: {unknown(f'option of {of}', name, [*declared, *extra])}")
    filled: dict[str, Value | None] = {}
    for name, option in declared.items():
        if name in given:
            filled[name] = coerce(option, given[name], partial(where, name))
        elif option.default is not None:
            filled[name] = coerce(option, option.default, partial(where, name))
        elif option.type is Tap:
            filled[name] = None
        else:
            raise BadOption(f"{where()}: {of} needs the option {name!r}, {describe(option)}: {option.help}")
    return filled


def coerce(option: Option, value: object, where: Where) -> Value:
    """Return ``value`` as ``option``'s type, or raise :class:`BadOption` naming the place ``where()``.

    A ``many`` option becomes a tuple, of one item if it is given as one value; what is wrong with item ``i`` is placed
    at ``where(i)``.
    """
    if not option.many:
        return _item(option, value, where())
    item = replace(option, many=False, default=None)
    if not isinstance(value, list | tuple):
        return (_item(item, value, where()),)
    if not value and option.default != ():
        raise BadOption(f"{where()}: the list is empty; it needs at least {describe(item)}.")
    if len(value) > _MOST_ITEMS:
        raise BadOption(f"{where()}: the list has {len(value)} items; the most is {_MOST_ITEMS}.")
    return tuple(_item(item, each, where(index)) for index, each in enumerate(value))


def describe(option: Option) -> str:
    """Return what ``option`` may be, in words: ``an integer from 1 to 20``."""
    if option.many:
        return f"{describe(replace(option, many=False))}, or a list of such"
    if option.choices:
        return f"one of {', '.join(option.choices)}"
    words = _WORDS[option.type]
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return f"{words} from {_bound(low)} to {_bound(high)}"
    if low is not None:
        return f"{words}, at least {_bound(low)}"
    if high is not None:
        return f"{words}, at most {_bound(high)}"
    return words


def _item(option: Option, value: object, place: str) -> Item:
    if not _fits(option, value):
        raise BadOption(f"{place}: {_shown(value)} is not {describe(option)}.{_hint(option, value)}")
    assert isinstance(value, bool | int | float | str)  # what _fits has just established, for the type checker
    return float(value) if option.type is float else value


def _fits(option: Option, value: object) -> bool:
    if option.type is ClassName and isinstance(value, int) and not isinstance(value, bool):
        return 0 <= value < 2**31
    if issubclass(option.type, str):
        return isinstance(value, str) and (not option.choices or value in option.choices)
    if option.type is bool or isinstance(value, bool):  # bool is an int to Python, but not to a recipe's reader
        return option.type is bool and isinstance(value, bool)
    if not isinstance(value, int) and not (option.type is float and isinstance(value, float)):
        return False
    if isinstance(value, int) and value.bit_length() > 64:
        return False  # no option needs it, and as a float it might not exist
    low, high = option.minimum, option.maximum
    return math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)


def _bound(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _hint(option: Option, value: object) -> str:
    if isinstance(value, str) and option.choices:
        return nearest(value, option.choices)
    if isinstance(value, str) and not issubclass(option.type, str) and _NUMBER.fullmatch(value.strip()):
        return " Write it without quotes."
    if isinstance(value, list | tuple) and not option.many:
        return " Give one value, without brackets."
    if option.type is ClassName:
        return ""
    if issubclass(option.type, str) and not option.choices and isinstance(value, bool | int | float):
        return f' Write it in quotes: "{_shown(value)}".'
    return ""

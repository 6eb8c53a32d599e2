"""The options that a record is tried with: those that were given, then defaults, then guesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice, product
from typing import Any

from deepdream_plugins.options import Value, fill
from deepdream_plugins.records import ClassName, File, Option, PictureFile, Tap
from deepdream_plugins.testing.tiny import CLASSES

_TRIES = 64
_LENGTHS = (1, 12, 2, 3, 8)
"""Of guessed lists: alone, one for each channel of the tiny network's default tap, pairs, colours."""


def filled(spec: Any, word: str, given: Mapping[str, object]) -> dict[str, Value]:
    """Return a value for each of the record's options, as a recipe would have it; a wrong one is a ``BadOption``."""
    values = fill(spec.options, given, _place, of=f"{word} {spec.name!r}")
    return {name: value for name, value in values.items() if value is not None}


def _place(*keys: object) -> str:
    return ".".join(map(str, keys)) or "options"


def guesses(options: tuple[Option, ...]) -> Iterator[dict[str, object]]:
    """Yield values for those options that must be given, the likeliest first: within bounds, of every choice."""
    needed = [option for option in options if option.default is None and not issubclass(option.type, Tap)]
    tried = product(*(list(_likely(option)) for option in needed))
    for values in islice(tried, _TRIES):
        yield {option.name: value for option, value in zip(needed, values, strict=True)}


def _likely(option: Option) -> Iterator[object]:
    single = list(_single(option))
    if option.many:
        yield from ([value] * length for value in single for length in _LENGTHS)
    else:
        yield from single


def _single(option: Option) -> Iterator[object]:
    if option.choices:
        yield from option.choices
    elif option.type in (PictureFile, File):
        yield ""
    elif option.type is ClassName:
        yield CLASSES[0]
    elif option.type is bool:
        yield from (True, False)
    elif option.type in (int, float):
        inside = partial(_inside, option)
        yield from dict.fromkeys(map(inside, (1, 0, 2, 10)))
    else:
        yield from ("example", "", "https://example.org/", "/example")


def _inside(option: Option, number: float) -> int | float:
    if option.minimum is not None:
        number = max(number, option.minimum)
    if option.maximum is not None:
        number = min(number, option.maximum)
    return int(number) if option.type is int else float(number)


def varied(option: Option, value: float, number: int) -> int | float:
    """Return another value than ``value`` that a per-picture option may have, for picture ``number``."""
    if option.type is not float:
        return _inside(option, value + number)
    low = value - 1 if option.minimum is None else option.minimum
    high = value + 1 if option.maximum is None else option.maximum
    towards = high if number % 2 else low
    return value + (towards - value) / (2 + number)

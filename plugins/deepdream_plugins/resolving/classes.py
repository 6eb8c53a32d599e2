"""A model's classes by name: what somebody calls a class becomes its number in the network's output."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from deepdream_engine.errors import BadOption
from deepdream_plugins.records import ModelSpec

_SHOWN = 10
_SEPARATORS = re.compile(r"[\s_-]+")


def class_number(model: ModelSpec, given: str | int, place: str) -> int:
    """Return the number of the class ``given``, or raise :class:`BadOption` naming ``place``.

    An integer is the number. A text is tried as a name as it is, then ignoring case and the difference between ``_``,
    ``-`` and spaces, then as whole words in a longer name; digits are the number where they are nobody's name, and
    refused where other classes are named by numbers. The first of these that fits any class decides, and must fit only
    one; synonyms count like names.
    """
    names = model.classes() if model.classes is not None else ()
    if model.classes is not None and not names:
        raise BadOption(
            f"{place}: {given!r}: model {model.name!r} has no classes. Choose a channel of one of its layers: "
            f"deepdream layers {model.name}"
        )
    if isinstance(given, int):
        return _numbered(given, model, names, place)
    text = given.strip()
    is_number = text.isdecimal()
    if is_number and not names:
        return int(text)
    if not names:
        raise BadOption(
            f"{place}: {given!r}: model {model.name!r} does not list its classes by name; give the number from 0."
        )
    wanted = _plain(text)
    synonyms = [[name.strip() for name in (line, *line.split(","))] for line in names]
    stages: list[Callable[[str], bool]] = [lambda name: name == text, lambda name: _plain(name) == wanted]
    if not is_number:
        stages.append(lambda name: bool(wanted) and f" {wanted} " in f" {_plain(name)} ")
    for fits in stages:
        found = [number for number, several in enumerate(synonyms) if any(fits(name) for name in several)]
        if len(found) == 1:
            return found[0]
        if found:
            raise BadOption(f"{place}: {given!r} is in the names of {_listed(found, names)}. Choose one by its number.")
    if is_number:
        if numerals := [name for name in names if name.isdecimal()]:
            raise BadOption(
                f"{place}: model {model.name!r} has no class called {given!r}, but such as {numerals[0]!r}, so that "
                f"the number of a class is not told from a name. Give a name: deepdream classes {model.name}"
            )
        return _numbered(int(text), model, names, place)
    raise BadOption(
        f"{place}: model {model.name!r} has no class {given!r}, not even as a word of a longer name."
        f"{_nearest(wanted, synonyms)} All: deepdream classes {model.name}"
    )


def _numbered(number: int, model: ModelSpec, names: Sequence[str], place: str) -> int:
    if names and number >= len(names):
        raise BadOption(
            f"{place}: model {model.name!r} has {len(names)} classes, and none of the number {number}; "
            f"choose one from 0 to {len(names) - 1}, or a name."
        )
    return number


def _listed(found: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(f"{number} ({names[number].split(',')[0]})" for number in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{len(found)} classes: {shown}{more}"


def _nearest(wanted: str, synonyms: Sequence[Sequence[str]]) -> str:
    """Return the classes whose names, or words of names, look most like ``wanted``."""
    known: dict[str, int] = {}
    for number, several in enumerate(synonyms):
        for name in several:
            for part in (_plain(name), *_plain(name).split()):
                known.setdefault(part, number)
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    found = dict.fromkeys(known[name] for name in close)
    if not found:
        return " Choose one by its number from 0, or by another name."
    return f" Nearest: {', '.join(f'{number} ({synonyms[number][1]})' for number in found)}."


def _plain(name: str) -> str:
    return _SEPARATORS.sub(" ", name).strip().casefold()

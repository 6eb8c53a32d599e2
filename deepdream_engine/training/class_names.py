"""The names of a network's classes, for looking up."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from deepdream_engine.errors import BadOption, nearest

_SEPARATORS = re.compile(r"[\s_-]+")
_SHOWN = 3


class ClassNames:
    """The names of a network's classes, each with its synonyms behind commas, for looking up."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._plain: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(classes):
            synonyms = {part.strip() for part in (name, *name.split(","))}
            for synonym in filter(None, synonyms):
                self._exact[synonym].append(number)
            for synonym in filter(None, {_plain(each) for each in synonyms}):
                self._plain[synonym].append(number)

    def __len__(self) -> int:
        """How many classes there are."""
        return len(self._classes)

    def first(self, number: int) -> str:
        """Return the first name of a class."""
        return self._classes[number].partition(",")[0]

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of all classes that have the name ``text``; none has an empty one."""
        return self._exact.get(text.strip()) or self._plain.get(_plain(text), [])

    def number(self, text: str) -> int:
        """Return the number of the class that ``text`` names, or is; raises ``BadOption`` for none and for several.

        A name as it is goes before one that is the same but for case, ``_``, ``-`` and spaces, and any name before a
        number, which is none where classes are named by numbers.
        """
        found = self.numbers(text)
        if len(found) == 1:
            return found[0]
        if found:
            named = "; ".join(f"{number}: {self._classes[number]}" for number in found[:_SHOWN])
            raise BadOption(f"{text!r} names several classes ({named}). Use the number.")
        is_number = text.isdecimal() and not any(name.isdecimal() for name in self._classes)
        if is_number and int(text) < len(self._classes):
            return int(text)
        raise BadOption(f"{text!r} names none of the {len(self._classes)} classes.{nearest(_plain(text), self._plain)}")


def _plain(text: str) -> str:
    return _SEPARATORS.sub(" ", text).strip().casefold()

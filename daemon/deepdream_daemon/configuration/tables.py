"""One table of a configuration file, read key by key: every key that is asked for is thereby a valid key.

Each wrong value is a :class:`BadOption` that names file, line, key and value, and what would be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deepdream_engine.errors import BadOption, nearest, unknown

AUTO = "auto"
Where = Callable[..., str]
"""``where("folders", 0, "input")`` -> ``config.toml:12: folders[0].input``: the best line known for a key."""


class Table:
    """A table at ``keys`` of a file; relative paths in it are relative to ``base``."""

    def __init__(self, data: object, where: Where, *keys: str | int, base: Path) -> None:
        self.where, self.keys, self.base = where, keys, base
        self._valid: dict[str, None] = {}
        if not isinstance(data, Mapping):
            raise self.wrong("a table is needed here", data)
        self.data: Mapping[str, Any] = data

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for name in self.data:
            if name not in self._valid:
                kind = "key" if self.keys else "table"
                raise BadOption(f"{self.where(*self.keys, name)}: {unknown(kind, name, self._valid)}")

    def number(self, name: str, default: float, *, minimum: float, maximum: float = math.inf, why: str = "") -> float:
        """A finite number within bounds; whole numbers are taken too. ``why`` explains the bounds."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(f"must be a number, {_range(minimum, maximum)}", value, name)
        if not minimum <= value <= maximum:
            raise self.wrong(f"must be {_range(minimum, maximum)}", value, name, why)
        return float(value)

    def integer(self, name: str, default: int, *, minimum: int, maximum: float = math.inf) -> int:
        """A whole number within bounds."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise self.wrong(f"must be a whole number, {_range(minimum, maximum)}", value, name)
        return value

    def number_or_auto(self, name: str, *, minimum: float, maximum: float) -> float | None:
        """A finite number within bounds, or ``None`` for ``"auto"``, which is the default."""
        if self._get(name, AUTO) == AUTO:
            return None
        if isinstance(self.data[name], str):
            raise self.wrong(f'must be "auto" or a number, {_range(minimum, maximum)}', self.data[name], name)
        return self.number(name, minimum, minimum=minimum, maximum=maximum)

    def integer_or_auto(self, name: str, *, minimum: int, maximum: int) -> int | None:
        """A whole number within bounds, or ``None`` for ``"auto"``, which is the default."""
        if self._get(name, AUTO) == AUTO:
            return None
        if isinstance(self.data[name], str):
            raise self.wrong(f'must be "auto" or a whole number, {_range(minimum, maximum)}', self.data[name], name)
        return self.integer(name, minimum, minimum=minimum, maximum=maximum)

    def boolean(self, name: str, default: bool) -> bool:
        """``true`` or ``false``."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self.wrong("must be true or false", value, name)
        return value

    def text(self, name: str, default: str) -> str:
        """A string that is not empty."""
        value = self._get(name, default)
        if not isinstance(value, str) or not value:
            raise self.wrong("must be a string in quotes", value, name)
        return value

    def choice(self, name: str, default: str, choices: Iterable[str]) -> str:
        """One of a few words."""
        value, words = self._get(name, default), tuple(choices)
        if value not in words:
            raise self.wrong_choice(name, value, words)
        return str(value)

    def strings(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of strings."""
        value = self._get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise self.wrong('must be a list of strings, such as ["one", "two"]', value, name)
        return tuple(value)

    def named(self, name: str) -> tuple[str | Mapping[str, Any], ...]:
        """A list of names and of tables with a name, such as ``["one", { name = "two", size = 3 }]``, or one of
        them."""
        value = self._get(name, [])
        items = value if isinstance(value, list) else [value]
        for item in items:
            if not isinstance(item, str) and not (isinstance(item, Mapping) and isinstance(item.get("name"), str)):
                raise self.wrong('must be a list such as ["one", { name = "two" }]', value, name)
        return tuple(items)

    def path(self, name: str, default: str) -> Path:
        """An absolute path with links resolved; ``~`` and paths relative to the file are understood."""
        value = self._get(name, default)
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.wrong("must be a path in quotes", value, name)
        try:
            return (self.base / Path(value).expanduser()).resolve()
        except (RuntimeError, OSError) as error:
            raise self.wrong(f"must be a path that can be followed ({error})", value, name) from None

    def optional_path(self, name: str) -> Path | None:
        """A path, or nothing."""
        self._valid[name] = None
        return self.path(name, "") if name in self.data else None

    def table(self, name: str) -> Table:
        """A table inside this one, empty when it is not there."""
        return Table(self._get(name, {}), self.where, *self.keys, name, base=self.base)

    def tables(self, name: str) -> list[Table]:
        """An array of tables inside this one."""
        items = self._get(name, [])
        if not isinstance(items, list):
            raise self.wrong(f"must be written as [[{name}]], once for each", items, name)
        return [Table(item, self.where, *self.keys, name, index, base=self.base) for index, item in enumerate(items)]

    def wrong(self, rule: str, value: object, name: str = "", hint: str = "") -> BadOption:
        """The error for a value that breaks ``rule``."""
        keys = (*self.keys, name) if name else self.keys
        return BadOption(f"{self.where(*keys)}: {rule}, not {_shown(value)}.{hint}")

    def missing(self, name: str, meaning: str) -> BadOption:
        """The error for a key that must be given."""
        line = f'{name} = "FOLDER"'
        return BadOption(f"{self.where(*self.keys)}: key {name!r} is missing: {meaning}. Add a line: {line}")

    def wrong_choice(self, name: str, value: object, words: Iterable[str]) -> BadOption:
        """The error for a value that is none of ``words``."""
        words = tuple(words)
        hint = nearest(value, words) if isinstance(value, str) else ""
        return self.wrong(f"must be one of {', '.join(map(repr, words))}", value, name, hint)

    def _get(self, name: str, default: object) -> Any:
        self._valid[name] = None
        return self.data.get(name, default)


def _range(minimum: float, maximum: float) -> str:
    return f"at least {minimum:g}" if maximum == math.inf else f"from {minimum:g} to {maximum:g}"


def _shown(value: object) -> str:
    """The value as the user would write it in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

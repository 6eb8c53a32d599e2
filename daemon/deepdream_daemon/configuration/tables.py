"""One table of a configuration file, read key by key as each is declared.

Each wrong value is a :class:`BadOption` that names file, line, key and value, and what would be right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deepdream_daemon.configuration.key import Key
from deepdream_engine.errors import BadOption, nearest, unknown

AUTO = "auto"
Where = Callable[..., str]
"""``where("folders", 0, "input")`` -> ``config.toml:12: folders[0].input``: the best line known for a key."""


class Table:
    """A table at ``keys`` of a file; relative paths in it are relative to ``base``."""

    def __init__(self, data: object, where: Where, *keys: str | int, base: Path) -> None:
        self.where, self.keys, self.base = where, keys, base
        if not isinstance(data, Mapping):
            raise self.wrong("a table is needed here", data)
        self.data: Mapping[str, Any] = data

    def read(self, keys: Iterable[Key]) -> dict[str, Any]:
        """Return the values of all ``keys``, by their fields; refuse keys that are none of them."""
        keys = tuple(keys)
        self.allow(key.name for key in keys)
        for key in keys:
            if key.is_needed and key.name not in self.data:
                raise self._missing(key)
        return {key.field: self._value(key) for key in keys}

    def allow(self, names: Iterable[str]) -> None:
        """Refuse all keys but those of ``names``."""
        names = tuple(names)
        for name in self.data:
            if name not in names:
                kind = "key" if self.keys else "table"
                raise BadOption(f"{self.where(*self.keys, name)}: {unknown(kind, name, names)}")

    def table(self, name: str) -> Table:
        """A table inside this one, empty when it is not there."""
        return Table(self.data.get(name, {}), self.where, *self.keys, name, base=self.base)

    def tables(self, name: str) -> list[Table]:
        """An array of tables inside this one."""
        items = self.data.get(name, [])
        if not isinstance(items, list):
            raise self.wrong(f"must be written as [[{name}]], once for each", items, name)
        return [Table(item, self.where, *self.keys, name, index, base=self.base) for index, item in enumerate(items)]

    def wrong(self, rule: str, value: object, name: str = "", hint: str = "") -> BadOption:
        """The error for a value that breaks ``rule``."""
        keys = (*self.keys, name) if name else self.keys
        return BadOption(f"{self.where(*keys)}: {rule}, not {_shown(value)}.{hint}")

    def _value(self, key: Key) -> Any:
        value = self.data.get(key.name, AUTO if key.auto and key.default is None else key.default)
        match key.type:
            case "number" | "integer":
                return None if key.auto and value == AUTO else self._number(key, value)
            case "boolean":
                if not isinstance(value, bool):
                    raise self.wrong("must be true or false", value, key.name)
                return value
            case "text":
                return self._text(key, value)
            case "path":
                return None if value is None else self._path(key, value)
            case "strings":
                if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
                    raise self.wrong('must be a list of strings, such as ["one", "two"]', value, key.name)
                for item in value:
                    if key.pattern and not re.fullmatch(key.pattern, item):
                        raise self.wrong(f"must be a list such as {list(key.choices)}", item, key.name)
                return tuple(value)
            case "names":
                return self._names(key, value)
            case "digests":
                return self._digests(key)

    def _number(self, key: Key, value: object) -> float:
        """A finite number within bounds; whole numbers are taken for others too."""
        whole = key.type == "integer"
        kind = "a whole number" if whole else "a number"
        if key.auto and isinstance(value, str):
            kind = f'"{AUTO}" or {kind}'
        bounds = _bounds(key)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not math.isfinite(value):
            raise self.wrong(f"must be {kind}, {bounds}", value, key.name)
        low = -math.inf if key.minimum is None else key.minimum
        high = math.inf if key.maximum is None else key.maximum
        if not low <= value <= high:
            raise self.wrong(f"must be {f'{kind}, ' if whole else ''}{bounds}", value, key.name, key.why)
        return value if whole else float(value)

    def _text(self, key: Key, value: object) -> str:
        """A string that is not empty, or one of a few words."""
        if key.choices:
            fits = isinstance(value, str) and (
                re.fullmatch(key.pattern, value) is not None if key.pattern else value in key.choices
            )
            if not fits:
                hint = nearest(value, key.choices) if isinstance(value, str) else ""
                raise self.wrong(f"must be one of {', '.join(map(repr, key.choices))}", value, key.name, hint)
        elif not isinstance(value, str) or not value:
            raise self.wrong("must be a string in quotes", value, key.name)
        return str(value)

    def _path(self, key: Key, value: object) -> Path:
        """An absolute path with links resolved; ``~`` and paths relative to the file are understood."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.wrong("must be a path in quotes", value, key.name)
        try:
            return (self.base / Path(value).expanduser()).resolve()
        except (RuntimeError, OSError) as error:
            raise self.wrong(f"must be a path that can be followed ({error})", value, key.name) from None

    def _names(self, key: Key, value: object) -> tuple[str | Mapping[str, Any], ...]:
        """A list of names and of tables with a name, or one of them."""
        items = value if isinstance(value, list | tuple) else [value]
        for item in items:
            if not isinstance(item, str) and not (isinstance(item, Mapping) and isinstance(item.get("name"), str)):
                raise self.wrong('must be a list such as ["one", { name = "two" }]', value, key.name)
        return tuple(items)

    def _digests(self, key: Key) -> dict[str, str]:
        """A table of SHA-256 digests, in lower case."""
        table = self.table(key.name)
        for name, digest in table.data.items():
            if not isinstance(digest, str) or not re.fullmatch(key.pattern, digest):
                raise table.wrong("must be a SHA-256 of 64 hexadecimal digits", digest, name, key.advice)
        return {name: digest.lower() for name, digest in table.data.items()}

    def _missing(self, key: Key) -> BadOption:
        line = f'{key.name} = "FOLDER"'
        return BadOption(f"{self.where(*self.keys)}: key {key.name!r} is missing: {key.help}. Add a line: {line}")


def kind_words(key: Key) -> str:
    """Return what a key may be, in words."""
    match key.type:
        case "number" | "integer":
            kind = "a whole number" if key.type == "integer" else "a number"
            return f'"{AUTO}" or {kind}, {_bounds(key)}' if key.auto else f"{kind}, {_bounds(key)}"
        case "boolean":
            return "true or false"
        case "text":
            return f"one of {', '.join(key.choices)}" if key.choices else "a string"
        case "path":
            return "a path, relative to the file"
        case "strings":
            return "a list of strings"
        case "names":
            return "a list of names, and of tables with a name and options"
        case "digests":
            return "a table of SHA-256 digests by name"


def _bounds(key: Key) -> str:
    low, high = key.minimum, key.maximum
    if high is None:
        return f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"from {low:g} to {high:g}"


def _shown(value: object) -> str:
    """The value as the user would write it in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""A TOML text that remembers on which line each of its keys stands, so that every error can say so."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import tomli

from deepdream_engine.errors import BadOption

MAX_BYTES = 1_000_000
_FILE_NEEDED = "It must be a file that you may read."
KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"{3}(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'{3}.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#]+")
_TWICE = "It is there twice: keep one, remove the other."
_QUOTES = "Close the text with the quotes that it begins with, on the same line."
_BACKSLASH = "Put text with a backslash in 'single quotes', or double the backslash."
_CURES = {
    "Invalid value": 'Text goes in quotes, such as "classic"; numbers, true and false go without; a list ends with ].',
    "Expected '='": "A line is key = value; a key with spaces or the like goes in quotes.",
    "Invalid statement": "A line is key = value, a [table], or a # comment.",
    "Invalid initial character": "A table in braces is written { key = value, key = value }.",
    "Expected newline": "Put each key on a line of its own, text in quotes, and # before a comment.",
    "Expected ']": "Close the bracket that begins the line.",
    "Expected \"'": _QUOTES,
    "Illegal character": _QUOTES,
    "Found invalid character": _QUOTES,
    "Cannot": _TWICE,
    "Duplicate": _TWICE,
    "Unclosed array": "Close the list with ], and put commas between its items.",
    "Unclosed inline table": "Close the table with }, on the line that it begins on.",
    "Unescaped": _BACKSLASH,
    "Invalid hex value": _BACKSLASH,
}
"""By how tomli's message begins: what is most likely to be done about it."""

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class TomlSource:
    """A parsed TOML text: ``data`` is what it says, :meth:`where` tells where it says it."""

    def __init__(self, data: dict[str, Any], name: str, lines: dict[KeyPath, int]) -> None:
        self.data = data
        self.name = name
        self._lines = lines

    @classmethod
    def read(cls, path: Path) -> TomlSource:
        """Parse the file at ``path``; what is wrong with it is a :class:`BadOption`, an I/O error an
        ``OSError``.
        """
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
            raise BadOption(f"{path}: cannot be read as TOML: {error.strerror}. {_FILE_NEEDED}") from error
        if len(raw) > MAX_BYTES:
            raise BadOption(f"{path}: larger than {MAX_BYTES} bytes; this is no configuration.")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise BadOption(f"{path}:{line}: not UTF-8 text; save the file as UTF-8.") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> TomlSource:
        """Parse ``text``; ``name`` stands for the file in messages."""
        try:
            data = tomli.loads(text)
            lines: dict[KeyPath, int] = {}
            for path, line in _Walk(text).keys():  # noqa: SIM118  (no mapping)
                lines.setdefault(path, line)
            return cls(data, name, lines)
        except tomli.TOMLDecodeError as error:
            message = str(error)
            place = _PLACE.search(message)
            at = f"{place[1]}:{place[2]}" if place and place[1] else _end(text)
            raise BadOption(f"{name}:{at}: TOML syntax: {_PLACE.sub('', message)}. {_cure(message)}") from error
        except RecursionError as error:
            raise BadOption(f"{name}: nested too deeply; no option needs that.") from error

    def where(self, *keys: str | int) -> str:
        """Return ``file:line: key.path``; the line is the closest parent's when the key itself is absent."""
        line = next((self._lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self._lines), None)
        place = self.name if line is None else f"{self.name}:{line}"
        return f"{place}: {dotted(*keys)}" if keys else place


def dotted(*keys: str | int) -> str:
    """Return a key path as TOML writes it, with ``[n]`` for the n-th item of an array."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if _BARE_KEY.fullmatch(key) else f'"{key}"')
    return path


def _cure(message: str) -> str:
    return next((cure for start, cure in _CURES.items() if message.startswith(start)), "Correct this line.")


def _end(text: str) -> str:
    lines = text.splitlines() or [""]
    return f"{len(lines)}:{len(lines[-1]) + 1}"


class _Walk:
    """One pass over a text that tomli has accepted, so it need not find errors, only keys."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._sizes: dict[KeyPath, int] = {}  # of each array of tables, so far

    def keys(self) -> Iterator[tuple[KeyPath, int]]:
        """Yield the path and line of every key and array item."""
        table: KeyPath = ()
        while self._next():
            if self._text[self._at] == "[":
                table = yield from self._header()
            else:
                yield from self._pair(table)

    def _header(self) -> Generator[tuple[KeyPath, int], None, KeyPath]:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._key()
        self._at = self._text.index("]", self._at) + (2 if is_array else 1)
        path: KeyPath = ()
        for depth, key in enumerate(keys, start=1):
            path += (key,)
            if is_array and depth == len(keys):
                self._sizes[path] = self._sizes.get(path, 0) + 1
            yield path, line
            if path in self._sizes:
                path += (self._sizes[path] - 1,)
                yield path, line
        return path

    def _pair(self, table: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        line = self._line()
        path = table
        for key in self._key():
            path += (key,)
            yield path, line
        self._at = self._text.index("=", self._at) + 1
        yield from self._value(path)

    def _value(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        self._next()
        opening = self._text[self._at]
        if opening not in "[{":
            match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = match.end() if match else len(self._text)
            return
        self._at += 1
        index = 0
        while self._next() and self._text[self._at] not in "]}":
            if self._text[self._at] == ",":
                self._at += 1
            elif opening == "{":
                yield from self._pair(path)
            else:
                yield (*path, index), self._line()
                yield from self._value((*path, index))
                index += 1
        self._at += 1

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._next()
            match = _BARE_KEY.match(self._text, self._at) or _STRING.match(self._text, self._at)
            if match is None:
                return parts
            raw = match[0]
            parts.append(tomli.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw)
            self._at = match.end()
            self._next()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _next(self) -> bool:
        """Skip white space and comments; return whether anything follows."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)

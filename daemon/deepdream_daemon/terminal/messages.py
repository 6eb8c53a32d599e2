"""Errors and names as text that is safe to show: no control characters, whatever bytes a name has."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path


def readable(text: object) -> str:
    """Return ``text`` with control characters and undecodable bytes escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in str(text)
    )


def shortened(text: str, longest: int = 140) -> str:
    """Return ``text`` without its middle when it is longer than ``longest`` characters: the end often says why."""
    tail = longest // 3
    return text if len(text) <= longest else f"{text[: longest - tail - 3].rstrip()} … {text[-tail:].lstrip()}"


def told_apart(pictures: Iterable[Path], inputs: Collection[Path]) -> Mapping[Path, str]:
    """Return short names of pictures that are shown together. Those of one name have their sub-folders with it, and the
    watched folder, of ``inputs``, if there are several."""
    shown = set(pictures)
    often = Counter(path.name for path in shown)
    return {path: path.name if often[path.name] == 1 else _below(path, inputs) for path in shown}


def _below(path: Path, inputs: Collection[Path]) -> str:
    for folder in inputs:
        if path.is_relative_to(folder):
            return os.fspath(path.relative_to(folder if len(inputs) == 1 else folder.parent))
    return os.fspath(path)


def message_of(error: BaseException) -> str:
    """Return what an error says; an operating system's error without its number."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return reason if error.filename is None else f"{os.fsdecode(error.filename)!r}: {reason}"
    if isinstance(error, MemoryError):
        return str(error) or "out of memory"
    return str(error) or type(error).__name__

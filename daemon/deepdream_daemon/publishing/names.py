"""Names of outputs: they say what they are made of, fit into 255 bytes and keep every byte of odd source
names.

A folder's template says what its dreams are called: text with :data:`FIELDS` in braces, without the suffix.
"""

from __future__ import annotations

import math
import os
import string
import time
from collections.abc import Callable, Mapping
from pathlib import PurePath

from deepdream_engine.errors import BadOption, unknown

LONGEST_BYTES = 255
FIELDS = ("stem", "recipe", "seed", "date", "time", "sha256")
PLAIN = "{stem}.{recipe}"
_SPELLINGS = ({".jpg", ".jpeg", ".jpe", ".jfif"}, {".tif", ".tiff"})


def output_name(source: str, recipe: str, suffix: str) -> str:
    """Return ``photo.classic.jpg`` for ``photo.jpg``; the stem is shortened when the whole would be too
    long.

    ``suffix`` is that of the output's format. If the source has the same format, its spelling is kept: a
    ``photo.JPEG`` becomes ``photo.classic.JPEG``.
    """
    return templated(PLAIN, source, {"recipe": recipe}, suffix)


def dream_name(
    template: str, source: str, *, recipe: str, seed: int, sha256: str, suffix: str, at: float | None = None
) -> str:
    """Return what ``template`` calls the dream of the picture ``source`` that is published ``at`` (unix time; now)."""
    local = time.localtime(at)
    values = {
        "recipe": recipe,
        "seed": seed,
        "date": time.strftime("%Y-%m-%d", local),
        "time": time.strftime("%H-%M-%S", local),
        "sha256": sha256,
    }
    return templated(template, source, values, suffix)


def templated(template: str, source: str, values: Mapping[str, object], suffix: str) -> str:
    """Fill in a template; the stem of ``source`` is cut until the name fits."""
    pure = PurePath(source)
    own = pure.suffix.lower()
    is_same = own == suffix or any({own, suffix} <= spellings for spellings in _SPELLINGS)
    ending, stem = pure.suffix if is_same else suffix, pure.stem
    name = template.format(stem=stem, **values)
    times = max(1, template.count("{stem"))
    while stem and len(os.fsencode(name + ending)) > LONGEST_BYTES:
        excess = len(os.fsencode(name + ending)) - LONGEST_BYTES
        stem = _cut(stem, max(0, len(os.fsencode(stem)) - math.ceil(excess / times)))
        name = template.format(stem=stem, **values)
    return fitted(name, ending)


def check_template(template: str) -> None:
    """Raise what is wrong with a template, as a :class:`BadOption` that says what may be in it."""
    known = ", ".join(f"{{{field}}}" for field in FIELDS)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadOption(f"{template!r}: {error}. Braces enclose one of {known}; write {{{{ for a brace.") from error
    for literal, field, spec, conversion in parts:
        if "/" in literal or "\0" in literal or any(ord(character) < 32 for character in literal):
            raise BadOption(f"{template!r}: a name has neither '/' nor control characters; sub-folders are mirrored.")
        if field is None:
            continue
        if field not in FIELDS:
            raise BadOption(f"{template!r}: {unknown('field', field, FIELDS)}")
        if conversion or "{" in (spec or ""):
            raise BadOption(f"{template!r}: {{{field}}} takes no more than a format such as {{{field}:.8}}.")
    if not template or template.startswith("."):
        raise BadOption(f"{template!r}: a name begins with something other than a dot, such as {PLAIN!r}.")
    try:
        name = dream_name(template, "photo.jpg", recipe="classic", seed=1, sha256="0" * 64, suffix=".jpg", at=0)
    except (ValueError, TypeError) as error:
        raise BadOption(f"{template!r}: {error}. An example: {PLAIN!r}.") from error
    if len(os.fsencode(name)) > 128:
        raise BadOption(f"{template!r}: it makes names of {len(os.fsencode(name))} bytes. Make it shorter.")


def name_taken(path: PurePath) -> str:
    """Return why nothing is published as ``path`` where ``collision = "skip"`` holds."""
    return f'a file {os.fspath(path)!r} is there already, and the folder has collision = "skip"'


def numbered(name: str, number: int) -> str:
    """Return the ``number``-th name to try: ``photo.classic.jpg``, then ``photo.classic-2.jpg``, ``-3`` …"""
    if number == 1:
        return name
    pure = PurePath(name)
    return fitted(pure.stem, f"-{number}{pure.suffix}")


def fitted(stem: str, ending: str) -> str:
    """Return ``stem + ending``, the stem cut between characters so that both fit into 255 bytes."""
    return _cut(stem, LONGEST_BYTES - len(os.fsencode(ending))) + ending


def _cut(text: str, room: int) -> str:
    """Return ``text`` cut between characters to at most ``room`` bytes."""
    raw = os.fsencode(text)
    if len(raw) <= room:
        return text
    cut = room
    while cut > max(0, room - 4) and raw[cut] & 0xC0 == 0x80:  # a continuation byte of UTF-8
        cut -= 1
    return os.fsdecode(raw[:cut])


def first_free(taken: Callable[[int], bool]) -> int:
    """Return a number that is not taken, probing few: doubling until one is free, then halving the gap."""
    if not taken(1):
        return 1
    low, high = 1, 2
    while taken(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(middle) else (low, middle)
    return high

"""Names of outputs: they say what they are made of, fit into 255 bytes and keep every byte of odd source
names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePath

LONGEST_BYTES = 255
_SPELLINGS = ({".jpg", ".jpeg", ".jpe", ".jfif"}, {".tif", ".tiff"})


def output_name(source: str, recipe: str, suffix: str) -> str:
    """Return ``photo.classic.jpg`` for ``photo.jpg``; the stem is shortened when the whole would be too
    long.

    ``suffix`` is that of the output's format. If the source has the same format, its spelling is kept: a
    ``photo.JPEG`` becomes ``photo.classic.JPEG``.
    """
    pure = PurePath(source)
    own = pure.suffix.lower()
    is_same = own == suffix or any({own, suffix} <= spellings for spellings in _SPELLINGS)
    return fitted(pure.stem, f".{recipe}{pure.suffix if is_same else suffix}")


def numbered(name: str, number: int) -> str:
    """Return the ``number``-th name to try: ``photo.classic.jpg``, then ``photo.classic-2.jpg``, ``-3`` …"""
    if number == 1:
        return name
    pure = PurePath(name)
    return fitted(pure.stem, f"-{number}{pure.suffix}")


def fitted(stem: str, ending: str) -> str:
    """Return ``stem + ending``, the stem cut between characters so that both fit into 255 bytes."""
    room = LONGEST_BYTES - len(os.fsencode(ending))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + ending
    cut = room
    while cut > max(0, room - 4) and raw[cut] & 0xC0 == 0x80:  # a continuation byte of UTF-8
        cut -= 1
    return os.fsdecode(raw[:cut]) + ending


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

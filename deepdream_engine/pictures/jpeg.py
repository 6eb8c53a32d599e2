"""JPEGs whose picture data end early although the file does not: a copy cut short that somebody ended properly.

libjpeg makes up what is missing, in grey, and Pillow does not tell. So the file is changed in a way that makes no
difference where the data are complete:

- With one scan, what follows the data is taken away but for a few bytes that the decoder looks ahead: then it waits for
  more in vain if data are missing, and Pillow says "truncated".
- With several (progressive), each scan is made longer. The decoder skips what it does not need; if data are missing it
  takes this for them, and made longer in another way, the same file becomes another picture.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan: no stuffed byte, no restart within the scan, no fill byte."""
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_LOOKED_AHEAD = b"\x55" * 8
"""libjpeg fills a register of 64 bits before it decodes."""
_LONGER = (b"\x00" * 1024, b"\x55" * 1024)
_MOST_SCANS = 1000


@dataclass(frozen=True)
class Scans:
    """Where the entropy-coded data of each scan end, and whether one scan holds the whole picture."""

    ends: tuple[int, ...]
    is_single: bool


def variants(data: bytes) -> list[bytes]:
    """Return one or two JPEGs to decode instead of ``data``: it is whole if all can be decoded, to the same picture.

    What cannot be checked is returned as it is.
    """
    found = scans(data)
    if found is None:
        return [data]
    if found.is_single:
        return [data[: found.ends[0]].rstrip(b"\xff") + _LOOKED_AHEAD]
    return [_lengthened(data, found.ends, more) for more in _LONGER]


def scans(data: bytes) -> Scans | None:
    """Find the scans of ``data``; ``None`` if it has no end marker, or is of another kind than photos are."""
    try:
        return _scans(data)
    except (struct.error, IndexError):
        return None


def _scans(data: bytes) -> Scans | None:
    ends: list[int] = []
    at, frame, components, is_single = 2, 0, 0, False
    while len(ends) <= _MOST_SCANS:
        if data[at] != 0xFF:
            return None
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        if marker == _END_OF_IMAGE:
            return Scans(tuple(ends), is_single) if ends else None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, components = marker, data[at + 8]
            if frame not in (*_SEQUENTIAL, _PROGRESSIVE):
                return None  # arithmetic coding has no fixed end; Pillow does not read lossless ones
        if marker == _SCAN and not ends:
            is_single = frame in _SEQUENTIAL and data[at + 3] == components
        at += 1 + struct.unpack_from(">H", data, at + 1)[0]
        if marker == _SCAN:
            end = _END.search(data, at)
            if end is None:
                return None
            at = end.start()
            ends.append(at)
            if is_single:
                return Scans(tuple(ends), True)
    return None


def _lengthened(data: bytes, ends: tuple[int, ...], more: bytes) -> bytes:
    parts = []
    start = 0
    for end in ends:
        parts += [data[start:end].rstrip(b"\xff"), more]
        start = end
    return b"".join([*parts, data[start:]])

"""How large a picture says it is, from its first bytes alone.

Only Python reads here, no decoder: the daemon asks before it hands the bytes to a process that it can lose.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

Size = tuple[int, int]
"""Width and height, as stored: an orientation has not been applied."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_GAP = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})")
_PPM_BYTES = 65_536
_TIFF_NUMBERS = {3: "H", 4: "I", 16: "Q"}  # SHORT, LONG, LONG8
_CODESTREAM = b"\xff\x4f\xff\x51"


def declared_size(data: bytes, name: str) -> Size | None:
    """Return ``(width, height)`` as the header of a ``name`` (see ``sniff.picture_format``) tells it, or ``None`` if
    it tells none.
    """
    read = _READERS.get(name)
    try:
        return None if read is None else read(data)
    except (struct.error, IndexError, OverflowError):  # places beyond the end of the file, or of any file
        return None


def _unpacked(layout: str, at: int) -> Callable[[bytes], Size]:
    def read(data: bytes) -> Size:
        first, second = struct.unpack_from(layout, data, at)
        return first, second

    return read


def _bmp(data: bytes) -> Size:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while True:
        at = data.find(b"\xff", at)  # decoders skip what is between the segments
        if at < 0:
            return None
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 4)
            return width, height
        if marker in (0xD9, 0xDA):
            return None
        is_bare = marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8
        at += 1 if is_bare else 1 + struct.unpack_from(">H", data, at + 1)[0]


def _tiff(data: bytes) -> Size | None:
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:  # BigTIFF
        at, count_layout, entry = struct.unpack_from(order + "Q", data, 8)[0], "Q", "HHQ"
    else:
        at, count_layout, entry = struct.unpack_from(order + "I", data, 4)[0], "H", "HHI"
    (count,) = struct.unpack_from(order + count_layout, data, at)
    at += struct.calcsize("=" + count_layout)
    head = struct.calcsize("=" + entry)
    size = head + struct.calcsize("=" + entry[-1])
    found = {}
    for place in range(at, min(at + count * size, len(data) - size + 1), size):
        tag, kind, _ = struct.unpack_from(order + entry, data, place)
        if tag in (256, 257) and kind in _TIFF_NUMBERS:
            (found[tag],) = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, place + head)
    return (found[256], found[257]) if len(found) == 2 else None


def _jpeg2000(data: bytes) -> Size | None:
    """The larger of what the box and the code stream say: decoders do not agree on which to believe."""
    found: list[Size] = []
    at = data.find(b"ihdr")
    if at >= 0:
        height, width = struct.unpack_from(">II", data, at + 4)
        found.append((width, height))
    at = data.find(_CODESTREAM)
    if at >= 0:
        right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
        found.append((right - left, bottom - top))
    return max(found, key=_area, default=None)


def _avif(data: bytes) -> Size | None:
    """The largest of the pictures in it: the others are its tiles, its transparency and its thumbnail."""
    return max(_avif_sizes(data), key=_area, default=None)


def _avif_sizes(data: bytes) -> Iterator[Size]:
    for found in re.finditer(rb"ispe", data[: 1 << 20]):
        width, height = struct.unpack_from(">II", data, found.end() + 4)
        yield width, height


def _ppm(data: bytes) -> Size | None:
    found = _PPM.match(data[:_PPM_BYTES])
    return None if found is None else (int(found[1]), int(found[2]))


def _area(size: Size) -> int:
    return size[0] * size[1]


_READERS: dict[str, Callable[[bytes], Size | None]] = {
    "JPEG": _jpeg,
    "PNG": _unpacked(">II", 16),
    "WEBP": _webp,
    "TIFF": _tiff,
    "GIF": _unpacked("<HH", 6),
    "BMP": _bmp,
    "AVIF": _avif,
    "JPEG2000": _jpeg2000,
    "QOI": _unpacked(">II", 4),
    "SGI": _unpacked(">HH", 6),
    "PPM": _ppm,
    "TGA": _unpacked("<HH", 12),
}

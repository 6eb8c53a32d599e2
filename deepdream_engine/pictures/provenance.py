"""How a dream was made, as JSON inside the dream's own file.

| format          | place                                                              |
|-----------------|--------------------------------------------------------------------|
| PNG             | an ``iTXt`` chunk with the keyword ``deepdream``                   |
| JPEG, WebP, TIFF| XMP: the property ``provenance`` of our namespace                  |
| GIF             | the comment, after the word ``deepdream``                          |
| BMP             | behind the pixels: JSON, its length (4 bytes, little-endian), mark |

BMP has no metadata; its header states where the picture ends, and readers ignore what follows.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping

from deepdream_engine.pictures import sniff, xmp
from deepdream_engine.pictures.decode import HOSTILE_INPUT, open_header

KEYWORD = "deepdream"
_GIF_PREFIX = b"deepdream "
_BMP_MARK = b"\x00deepdream-provenance-1"
_PACKED_PREFIX = "zlib+base64:"
_LARGEST_UNPACKED = 16 * 2**20


def to_text(provenance: Mapping[str, object]) -> str:
    """Return canonical ASCII JSON. Names that are not UTF-8 (lone surrogates) survive as escapes."""
    return json.dumps(provenance, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def packed(text: str) -> str:
    """Return a shorter form of ``text`` for containers with a small limit."""
    return _PACKED_PREFIX + base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def gif_comment(text: str) -> bytes:
    """Return what a GIF's comment must hold."""
    return _GIF_PREFIX + text.encode("ascii")


def bmp_trailer(text: str) -> bytes:
    """Return what must follow a BMP's pixels."""
    body = text.encode("ascii")
    return body + len(body).to_bytes(4, "little") + _BMP_MARK


def read_provenance(data: bytes) -> dict[str, object] | None:
    """Return what was embedded, or ``None`` where there is nothing or nothing valid. Decodes no pixel."""
    try:
        text = _find(data)
        return None if text is None else _parse(text)
    except HOSTILE_INPUT:
        return None


def from_comment(text: str) -> dict[str, object] | None:
    """Return what a comment holds that begins with :data:`KEYWORD`, as those of films do; else ``None``."""
    if not text.startswith(f"{KEYWORD} "):
        return None
    try:
        return _parse(text.removeprefix(f"{KEYWORD} "))
    except HOSTILE_INPUT:
        return None


def _find(data: bytes) -> str | bytes | None:
    name = sniff.picture_format(data)
    if name is None:
        return None
    if name == "BMP":
        return _from_trailer(data)
    with open_header(data, name) as image:
        if name == "PNG":
            return getattr(image, "text", {}).get(KEYWORD) or xmp.read_property(_packet(image.info))
        if name == "GIF":
            comment = image.info.get("comment", b"")
            return comment.removeprefix(_GIF_PREFIX) if comment.startswith(_GIF_PREFIX) else None
        return xmp.read_property(_packet(image.info))


def _packet(info: Mapping[str | tuple[int, int], object]) -> bytes | None:
    found = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(found, str):
        return found.encode("utf-8", "surrogatepass")
    return found if isinstance(found, bytes) else None


def _from_trailer(data: bytes) -> bytes | None:
    if not data.endswith(_BMP_MARK):
        return None
    end = len(data) - len(_BMP_MARK) - 4
    length = int.from_bytes(data[end : end + 4], "little")
    return data[end - length : end] if 0 < length <= end else None


def _parse(text: str | bytes) -> dict[str, object] | None:
    if isinstance(text, str) and text.startswith(_PACKED_PREFIX):
        try:
            squeezed = base64.b64decode(text.removeprefix(_PACKED_PREFIX), validate=True)
        except binascii.Error:
            return None
        text = zlib.decompressobj().decompress(squeezed, _LARGEST_UNPACKED)
    parsed = json.loads(text)
    return parsed if isinstance(parsed, dict) else None

"""How a film was made, inside its file. In an animation it is where ``provenance`` looks for it in a still of the same
format, in all others in the comment."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from deepdream_daemon.films.encoders import ANIMATIONS
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.intake.moving import moving
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import provenance as how_made
from deepdream_engine.pictures import xmp

_PNG_HEADER_BYTES = 8 + 25
_GIF_HEADER_BYTES = 13
_WEBP_HAS_XMP, _WEBP_HAS_ALPHA = 0x04, 0x10


def embed(path: Path, container: str, provenance: Mapping[str, object], size: tuple[int, int]) -> None:
    """Put ``provenance`` into the whole animation at ``path``; its pixels stay as they are."""
    text = how_made.to_text(provenance)
    data = path.read_bytes()
    path.write_bytes({"gif": _gif, "apng": _png, "webp": _webp}[container](data, text, size))


def read_from(film: Path) -> dict[str, object] | None:
    """Return how the film was made, or ``None`` if it does not say; raises :class:`BadPicture` if it is no film."""
    with film.open("rb") as file:
        container = moving(file)
        if container in ANIMATIONS:
            file.seek(0)
            return how_made.read_provenance(file.read())
    av = pyav()
    try:
        with av.open(str(film), metadata_errors="replace") as opened:
            told = {name.lower(): value for name, value in opened.metadata.items()}
    except (av.FFmpegError, OSError) as error:
        raise BadPicture(f"{film.name!r} cannot be read: {error}.") from error
    return how_made.from_comment(told.get("comment", ""))


def mark_transparent(path: Path) -> None:
    """Say in the header of the WebP at ``path`` that it has transparency.

    libwebp leaves transparent borders out of its frames, and then says that there is none, so that readers fill them.
    """
    data = bytearray(path.read_bytes())
    if data[12:16] == b"VP8X":
        data[20] |= _WEBP_HAS_ALPHA
        path.write_bytes(data)


def _gif(data: bytes, text: str, _size: tuple[int, int]) -> bytes:
    """Insert a comment before the first frame, behind the palette."""
    flags = data[10]
    place = _GIF_HEADER_BYTES + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    comment = how_made.gif_comment(text)
    blocks = (comment[start : start + 255] for start in range(0, len(comment), 255))
    extension = b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"
    return data[:place] + extension + data[place:]


def _png(data: bytes, text: str, _size: tuple[int, int]) -> bytes:
    """Insert a chunk of text behind the header."""
    body = b"iTXt" + how_made.KEYWORD.encode("ascii") + b"\0\0\0\0\0" + text.encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:_PNG_HEADER_BYTES] + chunk + data[_PNG_HEADER_BYTES:]


def _webp(data: bytes, text: str, size: tuple[int, int]) -> bytes:
    """Append XMP, and announce it in the header, which one with a single frame may not have yet."""
    packet = xmp.with_property(None, text)
    body = data[12:]
    if body[:4] == b"VP8X":
        body = body[:8] + bytes([body[8] | _WEBP_HAS_XMP]) + body[9:]
    else:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        body = b"VP8X" + struct.pack("<I", 10) + bytes([_WEBP_HAS_XMP, 0, 0, 0]) + sides + body
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body

"""Files that move: clips and animations, told by their bytes from everything else, whatever they are called.

Only headers are looked at, by no library: nothing in the file is decoded here.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

HEAD_BYTES = 4096
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_FILLING = frozenset({b"wide", b"free", b"skip"})
_STILL_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Photos in the same boxes."""
_MOST_PARTS = 500_000
"""Of a GIF or PNG that are passed over before it is taken for a still."""


def container_of(head: bytes) -> str | None:
    """Return what the file that begins with ``head`` is, or ``None`` if that is no clip, nor may be an animation."""
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "apng"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "mkv"
    if head[4:8] in _FILLING and head[0]:
        return None  # a text, such as "The wide sea": nobody begins with so much of nothing
    if head[4:8] in _MP4_BOXES and not (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS):
        return "mov" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "mp4"
    return None


def moving(file: BinaryIO) -> str | None:
    """Return the container of a clip, or of an animation with more than one picture; ``None`` for all else.

    What is damaged before its second picture is no animation: whoever decodes it as a still says what is wrong.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    container = container_of(head)
    if container == "webp":
        is_moving = head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 0x02)
    elif container in ("gif", "apng"):
        try:
            is_moving = _gif_moves(file) if container == "gif" else _png_moves(file)
        except (struct.error, IndexError):
            is_moving = False  # it ends too early
    else:
        return container
    return container if is_moving else None


def _png_moves(file: BinaryIO) -> bool:
    file.seek(8)
    for _ in range(_MOST_PARTS):
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            return bool(frames > 1)
        if kind == b"IDAT":
            return False
        file.seek(length + 4, 1)
    return False


def _gif_moves(file: BinaryIO) -> bool:
    file.seek(10)
    flags = file.read(3)[0]
    _skip_colours(file, flags)
    pictures = parts = 0
    while parts < _MOST_PARTS:
        kind = file.read(1)
        if kind == b"\x2c":
            pictures += 1
            if pictures > 1:
                return True
            _skip_colours(file, file.read(9)[8])
            file.seek(1, 1)  # how its codes begin
        elif kind == b"\x21":
            file.seek(1, 1)  # which extension it is
        else:
            return False  # its end, or nothing that a GIF has
        while (length := file.read(1)[0]) and parts < _MOST_PARTS:
            file.seek(length, 1)
            parts += 1
        parts += 1
    return False


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)

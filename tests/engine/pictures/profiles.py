"""Tiny ICC profiles, built byte by byte, whose conversions are easy to tell from the plain ones."""

from __future__ import annotations

import struct


def _profile(space: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"wtpt": b"XYZ \x00\x00\x00\x00" + struct.pack(">iii", 63190, 65536, 54061), **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        padded = content + b"\x00" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += padded
    header = struct.pack(
        ">I4sI4s4s4s",
        offset + len(body),
        b"none",
        0x02400000,
        kind,
        space,
        b"Lab " if space == b"CMYK" else b"XYZ ",
    )
    header += (
        struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\x00" * 28 + struct.pack(">iii", 63190, 65536, 54061)
    )
    return header.ljust(128, b"\x00") + table + body


def grey_linear() -> bytes:
    """Grey with gamma 1: a stored 64 of 255 is a quarter of the light, about 137 in sRGB."""
    return _profile(b"GRAY", b"mntr", {b"kTRC": b"curv\x00\x00\x00\x00" + struct.pack(">I", 0)})


def cmyk_with_green_cyan() -> bytes:
    """CMYK whose full cyan ink prints a strong green; black ink is black, no ink is white."""
    nodes = b""
    for cyan in (0, 1):
        for _magenta in (0, 1):
            for _yellow in (0, 1):
                for black in (0, 1):
                    nodes += bytes((0, 128, 128) if black else (140, 60, 190) if cyan else (255, 128, 128))
    identity = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\x00\x00\x00\x00" + bytes((4, 3, 2, 0)) + matrix + identity * 4 + nodes + identity * 3
    return _profile(b"CMYK", b"prtr", {b"A2B0": lut})

"""What the first bytes of a file claim: which container it is, and whether its end is missing.

Nothing is decoded here. A file's name is never asked: only its content says what it is.
"""

from __future__ import annotations

import struct
import zlib

# (offset, magic, Pillow's name). Formats without a magic number of their own, and those for which Pillow
# starts another program (EPS), are left out on purpose: random bytes must never pass for a picture.
_PICTURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (4, b"ftypavif", "AVIF"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"qoif", "QOI"),
    (0, b"\x01\xda\x00\x01", "SGI"),
    (0, b"\x01\xda\x01\x01", "SGI"),
    *((0, b"P" + digit + space, "PPM") for digit in (b"1", b"2", b"3", b"4", b"5", b"6") for space in (b"\n", b" ")),
)
_TGA_FOOTER = b"TRUEVISION-XFILE.\x00"

# What people drop beside pictures, and what to do about it.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document: export its pages as pictures"),
    (0, b"%!PS", "a PostScript document: export it as a picture"),
    (0, b"PK\x03\x04", "a ZIP archive (or an office document): take the pictures out of it"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (4, b"ftyphei", "a HEIC photo: convert it to JPEG or PNG"),
    (4, b"ftyphev", "a HEIC photo: convert it to JPEG or PNG"),
    (4, b"ftypmif1", "a HEIC photo: convert it to JPEG or PNG"),
    (4, b"ftyp", "a video: extract its frames as pictures"),
    (0, b"\x1aE\xdf\xa3", "a video: extract its frames as pictures"),
    (8, b"AVI ", "a video: extract its frames as pictures"),
    (0, b"8BPS", "a Photoshop document: export it as PNG or TIFF"),
    (0, b"gimp xcf", "a GIMP document: export it as PNG or TIFF"),
    (0, b"\x00\x00\x01\x00", "an icon: convert it to PNG"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"SQLite format 3", "a database"),
)


def picture_format(data: bytes) -> str | None:
    """Return Pillow's name of the container that ``data`` starts like, or ``None``."""
    for offset, magic, name in _PICTURES:
        if data[offset : offset + len(magic)] == magic and (name != "WEBP" or data[:4] == b"RIFF"):
            return name
    return "TGA" if data.endswith(_TGA_FOOTER) else None


def describe(data: bytes) -> str:
    """Say what ``data``, which is no picture, begins with, and what that usually is."""
    begins = f"it begins with {data[:16]!r}"
    for offset, magic, what in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return f"{begins}, like {what}"
    text = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<":
        kind = "an SVG drawing: export it as PNG" if b"<svg" in text.lower() else "an HTML or XML page"
        return f"{begins}, like {kind}"
    if not data.strip(b"\x00"):
        return f"{begins} and holds only zero bytes, like a copy that was cut short: copy it again"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in data[:512]):
        return f"{begins}, like a text file"
    return begins


def looks_cut_off(data: bytes, name: str) -> bool:
    """Whether the end that the container promises is missing. Used to word a refusal, never to make one."""
    try:
        if name == "PNG":
            return b"IEND" not in data[-64:]
        if name == "JPEG":
            return b"\xff\xd9" not in data[-1024:]
        if name == "GIF":
            return not data.rstrip(b"\x00").endswith(b";")
        if name == "WEBP":
            return bool(struct.unpack_from("<I", data, 4)[0] + 8 > len(data))
        if name == "BMP":
            return bool(struct.unpack_from("<I", data, 2)[0] > len(data))
        if name == "TIFF":
            return bool(struct.unpack_from("<I" if data[:2] == b"II" else ">I", data, 4)[0] + 2 > len(data))
    except struct.error:
        return True
    return False


def png_damage(data: bytes) -> str | None:
    """Return what is wrong with a PNG's critical chunks, or ``None``.

    Pillow checks no IDAT checksum, so a flipped bit would come out as a picture with a torn half.
    """
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            break
        # Upper case: a chunk that a decoder needs. The optional ones may be wrong without harm.
        critical = kind[:1].isupper()
        if critical and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"the checksum of its {kind.decode('ascii', 'replace')} chunk at byte {at} is wrong"
        if kind == b"IEND":
            return None
        at = end
    return "truncated"

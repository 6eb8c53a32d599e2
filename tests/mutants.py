"""Damaged and hostile variants of whole pictures: everything follows from the format and the number of a mutant."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock

import numpy as np
from PIL import Image

from deepdream_engine.pictures import OutputOptions, Picture, encode
from tests.corpus import oriented, png_chunk, ramp16, saved, scene, srgb_profile

_SMALL = scene(7, 24, 20)
_RGB = Image.fromarray(_SMALL)
_RGBA = Image.fromarray(np.dstack([_SMALL, _SMALL[..., 0]]))
_PICTURE = Picture(
    pixels=_SMALL.astype(np.float32) / np.float32(255),
    format="PNG",
    alpha=_SMALL[..., 0].astype(np.float32) / np.float32(255),
    exif=oriented(1),
    icc_profile=srgb_profile(),
    dpi=(72.0, 72.0),
)
_EXTREMES = (
    *(b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"),
    *(b"\xff\xff", b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff"),
)


def _own(name: str) -> bytes:
    return encode(_PICTURE.pixels, _PICTURE, OutputOptions(name), {"a": 1})


def _jpegs() -> Sequence[bytes]:
    return (
        _own("jpeg"),
        saved(_RGB, "JPEG", progressive=True),
        saved(_RGB, "JPEG", restart_marker_rows=1),
        saved(_RGB.convert("CMYK"), "JPEG", progressive=True),
        saved(_RGB.convert("L"), "JPEG", exif=oriented(6), icc_profile=srgb_profile()),
        saved(_RGB, "MPO", save_all=True, append_images=[_RGB]),
    )


def _tiffs() -> Sequence[bytes]:
    return (
        _own("tiff"),
        saved(_RGB, "TIFF", compression="tiff_lzw", exif=oriented(6)),
        saved(_RGB, "TIFF", compression="jpeg"),
        saved(_RGB, "TIFF", compression="packbits"),
        saved(_RGB.convert("1"), "TIFF", compression="group4"),
        saved(_RGB.convert("1"), "TIFF", compression="group3"),
        saved(_RGB.convert("CMYK"), "TIFF"),
        saved(_RGB.convert("YCbCr"), "TIFF", compression="tiff_adobe_deflate"),
        saved(Image.fromarray(ramp16(3)), "TIFF"),
        saved(Image.fromarray(_SMALL[..., 0].astype(np.float32)), "TIFF", big_tiff=True),
    )


FORMATS: dict[str, Callable[[], Sequence[bytes]]] = {
    "JPEG": _jpegs,
    "PNG": lambda: (
        _own("png"),
        saved(_RGB.quantize(16), "PNG", transparency=b"\0\x80"),
        saved(Image.fromarray(ramp16(3)), "PNG"),
        saved(_RGB.convert("LA"), "PNG", icc_profile=srgb_profile()),
        saved(_RGB, "PNG", save_all=True, append_images=[_RGB.rotate(90, expand=False)]),
    ),
    "WEBP": lambda: (
        _own("webp"),
        saved(_RGBA, "WEBP", lossless=True),
        saved(_RGB, "WEBP", quality=50),
        saved(_RGB, "WEBP", save_all=True, append_images=[_RGBA.convert("RGB").rotate(180)], duration=9),
    ),
    "TIFF": _tiffs,
    "BMP": lambda: (
        _own("bmp"),
        *(saved(_RGB.convert(mode), "BMP") for mode in ("L", "1", "P")),
        saved(_RGBA, "BMP"),
        saved(_RGB, "DIB").replace(b"", b"BM" + bytes(8) + struct.pack("<I", 54), 1),
    ),
    "GIF": lambda: (
        _own("gif"),
        saved(_RGB.quantize(64), "GIF", transparency=3, interlace=1),
        saved(_RGB.quantize(16), "GIF", save_all=True, append_images=[_RGB.rotate(90).quantize(16)]),
    ),
    "AVIF": lambda: (saved(_RGB, "AVIF", speed=10), saved(_RGBA, "AVIF", speed=10, exif=oriented(6))),
    "JPEG2000": lambda: (
        saved(_RGB, "JPEG2000"),
        saved(_RGBA, "JPEG2000", irreversible=True),
        saved(_RGB, "JPEG2000", no_jp2=True, tile_size=(16, 16)),
    ),
    "QOI": lambda: (saved(_RGB, "QOI"), saved(_RGBA, "QOI")),
    "SGI": lambda: (saved(_RGB, "SGI"), saved(_RGB.convert("L"), "SGI"), saved(_RGBA, "SGI")),
    "PPM": lambda: (
        saved(_RGB, "PPM"),
        saved(_RGB.convert("1"), "PPM"),
        b"P3\n# by hand\n4 3 255\n" + b" ".join(b"%d" % (7 * number) for number in range(36)),
        b"P2 3 2 9 1 2 3 4 5 6\n",
    ),
    "TGA": lambda: (saved(_RGB, "TGA"), saved(_RGBA, "TGA", compression="tga_rle"), saved(_RGB.convert("P"), "TGA")),
}
"""Whole pictures of each format that is read, as seeds."""
_SAVING = Lock()
"""Pillow keeps the options of ``save`` in the image while it saves: two threads that save one image mix theirs up."""


@cache
def _seeds(name: str) -> Sequence[bytes]:
    return FORMATS[name]()


def seeds(name: str) -> Sequence[bytes]:
    """Return the whole pictures of a format."""
    with _SAVING:
        return _seeds(name)


def mutant(name: str, number: int) -> bytes:
    """Return a mutant of a format, always the same for its number."""
    rng = random.Random(f"{name} {number}")
    return damaged(rng.choice(seeds(name)), rng)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Return a file with some damage, as ``rng`` will have it."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 12))):
        _change(data, rng)
    if whole.startswith(b"\x89PNG") and rng.random() < 0.8:
        return _with_checksums(bytes(data))  # else hardly any mutant gets past the first check
    return bytes(data)


def _change(data: bytearray, rng: random.Random) -> None:
    # Most of a format's grammar is at its beginning, and some at its end.
    length = len(data)
    at = rng.choice(
        (rng.randrange(min(200, length)), rng.randrange(length), length - 1 - rng.randrange(min(40, length)))
    )
    match rng.randrange(9):
        case 0:
            data[at] = rng.randrange(256)
        case 1:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            data[at] = (data[at] + rng.choice((-1, 1))) % 256
        case 3:
            extreme = rng.choice(_EXTREMES)
            data[at : at + len(extreme)] = extreme
        case 4:
            data[at:at] = rng.randbytes(rng.randint(1, 16))
        case 5 if length > 40:
            del data[at : at + rng.randint(1, 16)]
        case 6:
            start = rng.randrange(length)
            data[at:at] = data[start : start + rng.randint(1, 64)]
        case 7:
            piece = rng.randbytes(rng.randint(1, 32))
            data[at : at + len(piece)] = piece
        case 8 if length > 40:
            del data[max(40, at) :]


def _with_checksums(data: bytes) -> bytes:
    """Make the checksums of a PNG's chunks right again, as whoever means harm would."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        parts.append(png_chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join([*parts, data[at:]])


def bombs() -> dict[str, bytes]:
    """Return small files that ask for much: pixels, memory or time."""
    header = struct.pack(">IIBBBBB", 15_000, 13_000, 8, 2, 0, 0, 0)
    rows = zlib.compressobj(9)
    packed = b"".join([*(rows.compress(bytes(1 + 3 * 15_000)) for _ in range(13_000)), rows.flush()])
    progressive = saved(Image.fromarray(scene(1, 3000, 2000)), "JPEG", progressive=True, quality=10)
    scan = progressive.rindex(b"\xff\xda")
    long_text = zlib.compress(bytes(200_000_000), 9)
    small = saved(_RGB, "PNG")
    return {
        "195 megapixels of black": b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", packed)
        + png_chunk(b"IEND", b""),
        "900 scans": progressive[:-2] + progressive[scan:-2] * 890 + b"\xff\xd9",
        "200 MB of text": small[:33] + png_chunk(b"zTXt", b"Comment\0\0" + long_text) + small[33:],
        "200 MB of profile": small[:33] + png_chunk(b"iCCP", b"p\0\0" + long_text) + small[33:],
    }

"""Pictures of every kind that is accepted, and files of every kind that is refused: painted, never stored.

Everything follows from the index of a file, so a failing one can be made again alone.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Bytes8 = NDArray[np.uint8]


def scene(seed: int, width: int = 72, height: int = 56) -> Bytes8:
    """A small smooth picture with edges, RGB ``(height, width, 3)``: another one for each seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.zeros((height, width, 3))
    for channel in range(3):
        fx, fy, phase = rng.uniform(0.05, 0.35), rng.uniform(0.05, 0.35), rng.uniform(0, 6.28)
        picture[..., channel] = 127 + 80 * np.sin(fx * x + fy * y + phase)
    for _ in range(4):
        cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 14)
        picture[np.hypot(x - cx, y - cy) < radius] = rng.uniform(0, 255, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def saved(image: Image.Image, format: str, **keywords: object) -> bytes:
    """The bytes of ``image`` in ``format``."""
    buffer = io.BytesIO()
    image.save(buffer, format, **keywords)
    return buffer.getvalue()


def oriented(orientation: int) -> bytes:
    """An EXIF block that says no more than how the picture lies."""
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif.tobytes()


def srgb_profile() -> bytes:
    """The ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def ramp16(seed: int) -> NDArray[np.uint16]:
    """A 16-bit grey picture that uses the whole range."""
    grey = scene(seed)[..., 0].astype(np.float64)
    ramp: NDArray[np.uint16] = ((grey - grey.min()) / (grey.max() - grey.min()) * 65535).astype(np.uint16)
    return ramp


def tiff16_big_endian(values: NDArray[np.uint16]) -> bytes:
    """An uncompressed 16-bit grey TIFF in Motorola byte order, written by hand."""
    height, width = values.shape
    entries = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (277, 3, 1),
        (278, 3, height),
    ]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    directory = b""
    for tag, kind, value in sorted([*entries, (273, 4, start), (279, 4, values.size * 2)]):
        directory += struct.pack(">HHI", tag, kind, 1) + (
            struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        )
    head = b"MM\x00*" + struct.pack(">IH", 8, len(entries) + 2)
    return head + directory + b"\x00" * 4 + values.astype(">u2").tobytes()


def _rgb(seed: int) -> Image.Image:
    return Image.fromarray(scene(seed))


def _rgba(seed: int) -> Image.Image:
    image = _rgb(seed)
    image.putalpha(Image.fromarray(scene(seed + 1)[..., 1]))
    return image


def _transparent_palette(seed: int) -> bytes:
    return saved(_rgb(seed).quantize(64), "PNG", transparency=bytes([0, 128] + [255] * 62))


# (suffix, bytes for a seed). The suffix is what a person would write; some are wrong on purpose.
Kind = tuple[str, Callable[[int], bytes]]
_GOOD: tuple[Kind, ...] = (
    (".jpg", lambda s: saved(_rgb(s), "JPEG", quality=90)),
    (".png", lambda s: saved(_rgb(s), "PNG")),
    (".webp", lambda s: saved(_rgb(s), "WEBP", quality=90)),
    (".tif", lambda s: saved(_rgb(s), "TIFF", compression="tiff_lzw")),
    (".bmp", lambda s: saved(_rgb(s), "BMP")),
    (".gif", lambda s: saved(_rgb(s).quantize(128), "GIF")),
    *((".jpg", lambda s, o=o: saved(_rgb(s), "JPEG", exif=oriented(o))) for o in range(1, 9)),
    (".png", lambda s: saved(_rgb(s), "PNG", exif=oriented(6))),
    (".webp", lambda s: saved(_rgb(s), "WEBP", lossless=True, exif=oriented(8))),
    (".tiff", lambda s: saved(_rgb(s), "TIFF", exif=oriented(5))),
    (".png", lambda s: saved(_rgba(s), "PNG")),
    (".webp", lambda s: saved(_rgba(s), "WEBP", lossless=True)),
    (".tif", lambda s: saved(_rgba(s), "TIFF")),
    (".png", lambda s: saved(_rgba(s).convert("LA"), "PNG")),
    (".png", _transparent_palette),
    (".gif", lambda s: saved(_rgb(s).quantize(64), "GIF", transparency=3)),
    (".jpg", lambda s: saved(_rgb(s).convert("L"), "JPEG")),
    (".png", lambda s: saved(_rgb(s).convert("1"), "PNG")),
    (".tif", lambda s: saved(_rgb(s).convert("1"), "TIFF", compression="group4")),
    (".bmp", lambda s: saved(_rgb(s).convert("L"), "BMP")),
    (".jpg", lambda s: saved(_rgb(s).convert("CMYK"), "JPEG")),
    (".tif", lambda s: saved(_rgb(s).convert("CMYK"), "TIFF")),
    (".tif", lambda s: saved(_rgb(s).convert("YCbCr"), "TIFF")),
    (".png", lambda s: saved(Image.fromarray(ramp16(s)), "PNG")),
    (".tif", lambda s: saved(Image.fromarray(ramp16(s)), "TIFF")),
    (".tif", lambda s: tiff16_big_endian(ramp16(s))),
    (".tif", lambda s: saved(Image.fromarray(ramp16(s).astype(np.float32) / 65535), "TIFF")),
    (".jpg", lambda s: saved(_rgb(s), "JPEG", icc_profile=srgb_profile(), dpi=(300, 300))),
    (".png", lambda s: saved(_rgb(s), "PNG", icc_profile=srgb_profile(), dpi=(96, 96))),
    (".jpg", lambda s: saved(_rgb(s), "JPEG", progressive=True, quality=60)),
    (".JPG", lambda s: saved(_rgb(s), "JPEG")),
    (".PNG", lambda s: saved(_rgb(s), "PNG")),
    (".TIFF", lambda s: saved(_rgb(s), "TIFF", compression="tiff_adobe_deflate")),
    (".png", lambda s: saved(_rgb(s), "JPEG")),  # mislabelled
    (".jpg", lambda s: saved(_rgb(s), "WEBP")),  # mislabelled
    (
        ".gif",
        lambda s: saved(_rgb(s).quantize(16), "GIF", save_all=True, append_images=[_rgb(s + 1).quantize(16)]),
    ),
    (".tif", lambda s: saved(_rgb(s), "TIFF", save_all=True, append_images=[_rgb(s + 1)])),
)
_STEMS: tuple[str, ...] = (
    "plain",
    "with two  spaces",
    'it\'s "quoted"',
    "-leading dash",
    "new\nline",
    "caf\u00e9 composed",
    "cafe\u0301 decomposed",
    os.fsdecode(b"latin-\xe9\xff"),
    "two.dots.jpg",
    "percent %s {brace} $HOME",
    "雲と空",
)


def good_pictures(directory: Path, count: int = 100) -> list[Path]:
    """Write ``count`` pictures that must be dreamt: all formats, modes, orientations and awkward names."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        suffix, make = _GOOD[index % len(_GOOD)]
        path = directory / f"{_STEMS[index % len(_STEMS)]} {index:03d}{suffix}"
        path.write_bytes(make(index))
        paths.append(path)
    return paths


def bad_files(directory: Path, count: int = 100) -> list[Path]:
    """Write ``count`` files that must be refused, each with a reason, named as if they were pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, (kind, suffix, data) in zip(range(count), _bad(), strict=False):
        path = directory / f"bad {index:03d} {kind}{suffix}"
        path.write_bytes(data)
        paths.append(path)
    return paths


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG with its right checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int) -> bytes:
    """A well-formed PNG whose header claims a size that its few pixels do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\x00" * 64)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def resized_header(data: bytes, format: str, width: int, height: int) -> bytes:
    """``data`` with another size in its header; ``format`` is GIF or BMP."""
    at, layout = {"GIF": (6, "<HH"), "BMP": (18, "<ii")}[format]
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, width, height)
    return bytes(changed)


def _bad() -> Iterator[tuple[str, str, bytes]]:
    """Endless: each round makes every kind once, with other seeds and other places of the cuts."""
    turn = 0
    while True:
        rng = np.random.default_rng(9000 + turn)
        yield "empty", (".jpg", ".png", ".gif")[turn % 3], b""
        for suffix, format in (
            (".jpg", "JPEG"),
            (".png", "PNG"),
            (".webp", "WEBP"),
            (".tif", "TIFF"),
            (".bmp", "BMP"),
        ):
            whole = saved(_rgb(turn), format)
            yield f"cut {format}", suffix, whole[: int(len(whole) * (0.3, 0.5, 0.7, 0.85)[turn % 4])]
            yield f"beheaded {format}", suffix, whole[: 9 + 6 * (turn % 4)]
        whole = saved(_rgb(turn).quantize(64), "GIF")
        yield "cut GIF", ".gif", whole[: int(len(whole) * (0.9, 0.5, 0.7, 0.3)[turn % 4])]
        yield "text", ".png", b"This is not a picture, whatever its name says.\n" * (1 + turn)
        yield "pdf", ".jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
        yield "zip", ".png", _zip(turn)
        yield "random", (".jpg", ".tif", ".bmp")[turn % 3], b"\x80" + rng.bytes(3000)
        yield "html", ".jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
        yield "zeros", ".jpg", bytes(4096)
        yield "zero-sized", ".png", png_claiming(0, 10 + turn)
        yield "zero-sized", ".gif", resized_header(whole, "GIF", 0, 0)
        yield "over the limit", ".png", png_claiming(60_000, 60_000)
        yield "over the limit", ".bmp", resized_header(saved(_rgb(turn), "BMP"), "BMP", 50_000, 50_000)
        yield "wrong checksum", ".png", _flipped_crc(turn)
        yield "corrupt deflate", ".png", _corrupt_deflate(turn)
        yield "video", ".gif", b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2" + rng.bytes(200)
        yield "heic", ".jpg", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + rng.bytes(200)
        yield "svg", ".png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
        yield "magic only", ".jpg", (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00")[turn % 4]
        turn += 1


def _zip(seed: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"photo{seed}.jpg"), b"not even a photo")
    return buffer.getvalue()


def _flipped_crc(seed: int) -> bytes:
    data = bytearray(saved(_rgb(seed), "PNG"))
    data[data.index(b"IDAT") + 40 + seed] ^= 0x10
    return bytes(data)


def _corrupt_deflate(seed: int) -> bytes:
    """A PNG with right checksums over data that are no deflate stream."""
    header = struct.pack(">IIBBBBB", 40, 40, 8, 2, 0, 0, 0)
    body = b"\x78\x9c" + np.random.default_rng(seed).bytes(400)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks

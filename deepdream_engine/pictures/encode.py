"""A dream's pixels to the bytes of a file, with all that the source carried and how it was made.

A dream is written with 8 bits per channel, rounded half to even, so the same pixels are always the same
bytes. They are rounded band by band into the 8-bit picture: no second one in float is ever held.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.pictures import provenance as how_made
from deepdream_engine.pictures import xmp
from deepdream_engine.pictures.bands import bands
from deepdream_engine.pictures.metadata import fit_exif
from deepdream_engine.pictures.picture import Picture
from deepdream_engine.pictures.tiff import tiff_bytes

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif"}
_LARGEST_SIDE = {"JPEG": 65_535, "WEBP": 16_383, "GIF": 65_535}
_SAME_AS = {"MPO": "JPEG", "DIB": "BMP"}
FORMATS = ("same", *(name.lower() for name in _SUFFIXES))

# A JPEG segment holds 65,533 bytes, with 29 of XMP's and 6 of EXIF's own identifier in front.
_JPEG_XMP_BYTES = 65_533 - 29
_JPEG_EXIF_BYTES = 65_533 - 6
_OPAQUE_FROM = 0.5
_PILLOW_BUFFER_BYTES = 65_536


@dataclass(frozen=True)
class OutputOptions:
    """``format``: ``same`` as the source or one of ``FORMATS``; ``quality`` 1 to 100 (100: WebP lossless)."""

    format: str = "same"
    quality: int = 92

    def __post_init__(self) -> None:
        """Refuse a format or a quality that does not exist."""
        if self.format not in FORMATS:
            raise BadOption(unknown("output format", self.format, FORMATS))
        if isinstance(self.quality, bool) or not isinstance(self.quality, int) or not 1 <= self.quality <= 100:
            raise BadOption(f"output quality {self.quality!r} is not a whole number from 1 to 100.")


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """What every writer gets: the 8-bit image, and what is to be said about it."""

    image: Image.Image
    picture: Picture
    quality: int
    text: str
    common: dict[str, Any]  # the keywords that Pillow's writers share; absent ones are left out


def output_format(picture_format: str, options: OutputOptions) -> str:
    """Return Pillow's name of the format to write: what is read but not written (PPM, TGA …) becomes PNG."""
    if options.format != "same":
        return options.format.upper()
    name = _SAME_AS.get(picture_format, picture_format)
    return name if name in _SUFFIXES else "PNG"


def suffix_of(format: str) -> str:
    """Return the usual suffix of an output format, in Pillow's or the options' spelling."""
    name = _SAME_AS.get(format.upper(), format.upper())
    if name not in _SUFFIXES:
        raise BadOption(unknown("output format", format, [key.lower() for key in _SUFFIXES]))
    return _SUFFIXES[name]


def encode(
    pixels: NDArray[np.float32], picture: Picture, options: OutputOptions, provenance: Mapping[str, object]
) -> bytes:
    """Encode ``pixels``, float32 RGB ``(H, W, 3)`` in [0, 1], in ``picture``'s or ``options``' format.

    They may lie in memory in any order: a permuted view of ``(3, H, W)`` need not be made contiguous first.

    The source's alpha is re-attached, resized if the dream's size differs. JPEG and BMP cannot carry it:
    there a transparent source is laid on white. In a GIF, alpha under one half is transparent.
    """
    name = output_format(picture.format, options)
    height, width = pixels.shape[:2]
    largest = _LARGEST_SIDE.get(name)
    if largest is not None and max(width, height) > largest:
        raise BadOption(
            f"a dream of {width} x {height} pixels is too large for {name}, "
            f"which ends at {largest:,} on a side: "
            "set the recipe's output format to png or tiff, or resize before dreaming."
        )
    common: dict[str, Any] = {}
    if picture.icc_profile is not None:
        common["icc_profile"] = picture.icc_profile
    if picture.dpi is not None:
        common["dpi"] = picture.dpi
    sheet = _Sheet(
        image=_image(pixels, picture.alpha, carries_alpha=name not in ("JPEG", "BMP")),
        picture=picture,
        quality=options.quality,
        text=how_made.to_text(provenance),
        common=common,
    )
    return _WRITERS[name](sheet)


def to_8bit(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return ``clip(values) * 255``, rounded half to even."""
    levels = np.clip(values, 0, 1)
    np.multiply(levels, np.float32(255), out=levels)
    return np.rint(levels, out=levels).astype(np.uint8)


def _image(pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None, *, carries_alpha: bool) -> Image.Image:
    height, width = pixels.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        resized = Image.fromarray(alpha).resize((width, height), Image.Resampling.BICUBIC)
        alpha = np.clip(np.asarray(resized, dtype=np.float32), 0, 1)
    image = Image.new("RGB" if alpha is None or not carries_alpha else "RGBA", (width, height), None)
    for rows in bands(height, width):
        colours = pixels[rows]
        if alpha is None:
            levels = to_8bit(colours)
        elif carries_alpha:
            levels = np.dstack([to_8bit(colours), to_8bit(alpha[rows])])
        else:
            opacity = alpha[rows, :, None]
            levels = to_8bit(colours * opacity + (1 - opacity))
        image.paste(Image.fromarray(levels), (0, rows.start))
    return image


def _saved(image: Image.Image, format: str, *, trailer: bytes = b"", **keywords: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **keywords)
    buffer.write(trailer)
    return buffer.getvalue()


def _jpeg(sheet: _Sheet) -> bytes:
    keywords = dict(sheet.common)
    exif = fit_exif(sheet.picture.exif, _JPEG_EXIF_BYTES)
    if exif is not None:
        keywords["exif"] = exif
    keywords.update(
        quality=sheet.quality,
        subsampling=0 if sheet.quality >= 90 else 2,  # 4:4:4: a dream's colours are as fine as its edges
        xmp=_jpeg_packet(sheet),
    )
    # Pillow gives a progressive JPEG a buffer of one or two bytes per pixel, and fails when it is larger, as those of
    # strong dreams are. A sequential one takes a tenth of the time, has no limit and is never the smaller of the two.
    sequential = _saved(sheet.image, "JPEG", **keywords)
    width, height = sheet.image.size
    room = max(_PILLOW_BUFFER_BYTES, width * height * (2 if sheet.quality >= 95 else 1))
    if len(sequential) > room:
        return sequential
    del sequential
    return _saved(sheet.image, "JPEG", progressive=True, optimize=True, **keywords)


def _jpeg_packet(sheet: _Sheet) -> bytes:
    """Fit XMP into one segment: first the source's packet goes, then our own text is compressed."""
    packet = b""
    for base, text in (
        (sheet.picture.xmp, sheet.text),
        (sheet.picture.xmp, how_made.packed(sheet.text)),
        (None, sheet.text),
        (None, how_made.packed(sheet.text)),
    ):
        packet = xmp.with_property(base, text)
        if len(packet) <= _JPEG_XMP_BYTES:
            return packet
    raise BadOption(
        f"the recipe's description is {len(packet):,} bytes even compressed, "
        f"and a JPEG holds {_JPEG_XMP_BYTES:,}: shorten the recipe, or set its output format to png."
    )


def _png(sheet: _Sheet) -> bytes:
    chunks = PngInfo()
    chunks.add_itxt(how_made.KEYWORD, sheet.text)
    rest = xmp.without_property(sheet.picture.xmp)
    if rest is not None:
        chunks.add_itxt("XML:com.adobe.xmp", rest.decode("utf-8", "replace"))
    keywords = dict(sheet.common)
    if sheet.picture.exif is not None:
        keywords["exif"] = sheet.picture.exif
    return _saved(sheet.image, "PNG", pnginfo=chunks, **keywords)


def _webp(sheet: _Sheet) -> bytes:
    keywords = {key: value for key, value in sheet.common.items() if key != "dpi"}  # WebP has it in EXIF only
    if sheet.picture.exif is not None:
        keywords["exif"] = sheet.picture.exif
    packet = xmp.with_property(sheet.picture.xmp, sheet.text)
    # exact: the colours under transparent pixels are the dream's too.
    return _saved(
        sheet.image,
        "WEBP",
        lossless=sheet.quality == 100,
        quality=sheet.quality,
        exact=True,
        xmp=packet,
        **keywords,
    )


def _tiff(sheet: _Sheet) -> bytes:
    packet = xmp.with_property(sheet.picture.xmp, sheet.text)
    picture = sheet.picture
    return tiff_bytes(sheet.image, exif=picture.exif, icc_profile=picture.icc_profile, xmp=packet, dpi=picture.dpi)


def _bmp(sheet: _Sheet) -> bytes:
    keywords = {key: value for key, value in sheet.common.items() if key == "dpi"}
    return _saved(sheet.image, "BMP", trailer=how_made.bmp_trailer(sheet.text), **keywords)


def _gif(sheet: _Sheet) -> bytes:
    comment = how_made.gif_comment(sheet.text)
    opaque = sheet.image if sheet.image.mode == "RGB" else sheet.image.convert("RGB")
    transparent = None
    if sheet.image.mode == "RGBA":
        alpha = np.asarray(sheet.image.getchannel("A"))
        transparent = alpha < round(_OPAQUE_FROM * 255)
    colours = 256 if transparent is None else 255
    # Two passes: the palette from the colours as they are, then every pixel dithered onto it.
    palette = opaque.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=1)
    dithered = opaque.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    if transparent is None:
        return _saved(dithered, "GIF", comment=comment, optimize=False)
    indices = np.where(transparent, np.uint8(255), np.asarray(dithered))
    image = Image.fromarray(indices)
    colours_used = list(dithered.getpalette() or [])[: 255 * 3]
    image.putpalette(colours_used + [0] * (768 - len(colours_used)))
    return _saved(image, "GIF", comment=comment, transparency=255, optimize=False)


_WRITERS: Mapping[str, Callable[[_Sheet], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "GIF": _gif,
}

"""Any mode that Pillow decodes to float32 RGB in [0, 1], with alpha and the colour profile apart.

RGB keeps its own profile, so a dream is encoded in the colours it came in. What has no RGB of its own (CMYK,
LAB, grey) becomes sRGB, through its profile where it has a usable one.

The picture is converted band by band into its final place, so that beside Pillow's image and the result only a few
rows are ever held.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from deepdream_engine.pictures.bands import bands

Floats = NDArray[np.float32]
Arrays = tuple[Floats, Floats | None, bytes | None]
Reader = Callable[[Image.Image], tuple[Floats, Floats | None]]
"""A band of the image to its colours, ``(h, W, 3)`` or ``(h, W, 1)`` for grey, and its alpha ``(h, W)``."""
Convert = Callable[[Image.Image], Image.Image | None]

_PROFILE_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_ALPHA_MODES = ("LA", "La", "PA", "RGBa", "RGBA")
_WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


class Allocate(Protocol):
    """Makes room for a picture: planes ``(3, H, W)``, and ``(H, W)`` for its transparency if it has any."""

    def __call__(self, height: int, width: int, *, has_alpha: bool) -> tuple[Floats, Floats | None]: ...


def allocate_here(height: int, width: int, *, has_alpha: bool) -> tuple[Floats, Floats | None]:
    """Make room in this process."""
    alpha = np.empty((height, width), dtype=np.float32) if has_alpha else None
    return np.empty((3, height, width), dtype=np.float32), alpha


def to_arrays(image: Image.Image, orientation: int = 1, allocate: Allocate = allocate_here) -> Arrays:
    """Return pixels ``(H, W, 3)``, alpha ``(H, W)`` or ``None``, and the profile of the pixels.

    An EXIF ``orientation`` (1 to 8) is applied. The pixels lie in memory plane by plane, as ``(3, H, W)``.
    """
    read, has_alpha, profile = _reader(image)
    width, height = image.size
    upright = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    planes, alpha = allocate(*upright, has_alpha=has_alpha)
    pixels = planes.transpose(1, 2, 0)
    for rows in bands(height, width):
        colours, opacity = read(image.crop((0, rows.start, width, rows.stop)))
        _as_stored(pixels, orientation)[rows] = colours
        if alpha is not None and opacity is not None:
            _as_stored(alpha, orientation)[rows] = opacity
    return pixels, alpha, profile


def _as_stored(upright: Floats, orientation: int) -> Floats:
    """Return a view of ``(H, W)`` or ``(H, W, C)`` with its rows and columns where the file has them."""
    if orientation in (5, 6, 7, 8):
        upright = upright.swapaxes(0, 1)
    if orientation in (3, 4, 6, 7):
        upright = upright[::-1]
    if orientation in (2, 3, 7, 8):
        upright = upright[:, ::-1]
    return upright


def _reader(image: Image.Image) -> tuple[Reader, bool, bytes | None]:
    """Return what reads a band of ``image``, whether that gives alpha, and the profile of the colours."""
    if image.mode in _WIDE:
        return _wide_reader(image)
    icc = image.info.get("icc_profile")
    profile = icc if isinstance(icc, bytes) else None
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _alpha_reader(image, profile)
    if image.mode == "CMYK":
        # Adobe programs store CMYK inverted in JPEG; Pillow's JPEG reader has already turned it over (as
        # browsers do, whether or not the Adobe marker is there). In TIFF it is stored straight. Both are
        # straight here.
        return _opaque(_through_profile("CMYK", profile) or _to_rgb), False, None
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _opaque(_transform(lab, "LAB")), False, None
    if image.mode in ("L", "1"):
        convert = _through_profile("L", profile)
        if convert is None:
            return lambda band: (_floats(band.convert("L")), None), False, None
        return _opaque(lambda band: convert(band.convert("L"))), False, None
    return _opaque(_to_rgb), False, _usable(profile, "RGB")


def _opaque(convert: Convert) -> Reader:
    return lambda band: (_floats(convert(band) or _to_rgb(band)), None)


def _to_rgb(band: Image.Image) -> Image.Image:
    return band if band.mode == "RGB" else band.convert("RGB")


def _alpha_reader(image: Image.Image, profile: bytes | None) -> tuple[Reader, bool, bytes | None]:
    grey = image.mode in ("L", "LA", "La", "1")
    convert = _through_profile("L", profile) if grey else None

    def read(band: Image.Image) -> tuple[Floats, Floats]:
        whole = band if band.mode == "RGBA" else band.convert("RGBA")
        alpha = _floats(whole.getchannel("A"))[:, :, 0]
        # Straight alpha: the colours under it stay as they were stored, nothing is multiplied and divided again.
        opaque = whole.convert("RGB")
        converted = None if convert is None else convert(opaque.getchannel("R"))
        return _floats(converted or opaque), alpha

    return read, True, None if grey else _usable(profile, "RGB")


def _wide_reader(image: Image.Image) -> tuple[Reader, bool, None]:
    """More than 8 bits of grey, scaled to [0, 1] and never clipped."""
    transparent = image.info.get("transparency")
    has_alpha = isinstance(transparent, int)
    scaled = _sixteen_bits(image) if image.mode.startswith("I;16") else _scaled(image)

    def read(band: Image.Image) -> tuple[Floats, Floats | None]:
        values = np.asarray(band)
        return scaled(values)[:, :, None], (values != transparent).astype(np.float32) if has_alpha else None

    return read, has_alpha, None


def _sixteen_bits(image: Image.Image) -> Callable[[NDArray[np.generic]], Floats]:
    # Pillow turns 1- and 8-bit "white is zero" TIFFs over, not the 16-bit ones.
    white_is_zero = image.format == "TIFF" and image.getexif().get(0x106) == 0

    def scaled(values: NDArray[np.generic]) -> Floats:
        grey: Floats = values.astype(np.float32) / np.float32(65535)
        return 1 - grey if white_is_zero else grey

    return scaled


def _scaled(image: Image.Image) -> Callable[[NDArray[np.generic]], Floats]:
    """Numbers without a declared range: the least usual one that holds them (1, 255, 65535), or stretched."""
    low, high = _range(image)
    if low > high:
        return lambda values: np.zeros(values.shape, dtype=np.float32)  # not one of them is finite
    stretched = low < 0 or high > 65535
    zero = low if stretched else 0.0
    one = max(high - low, float(np.finfo(np.float64).tiny)) if stretched else _full_scale(high)

    def scaled(values: NDArray[np.generic]) -> Floats:
        finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        return ((np.clip(finite, low, high) - zero) / one).astype(np.float32)

    return scaled


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the smallest and the largest finite value: infinity and its negative if there is none."""
    low, high = float("inf"), float("-inf")
    width, height = image.size
    for rows in bands(height, width):
        values = np.asarray(image.crop((0, rows.start, width, rows.stop))).astype(np.float64)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return low, high


def _full_scale(high: float) -> float:
    return next(scale for scale in (1.0, 255.0, 65535.0) if high <= scale)


def _usable(profile: bytes | None, mode: str) -> bytes | None:
    """Return ``profile`` if it is one and describes pixels of ``mode``."""
    if profile is None or profile[36:40] != b"acsp" or profile[16:20] != _PROFILE_SPACES[mode]:
        return None
    return profile


def _through_profile(mode: str, profile: bytes | None) -> Convert | None:
    """Return the way to sRGB from the picture's own profile; ``None`` if it has none that works."""
    usable = _usable(profile, mode)
    if usable is None:
        return None
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(usable))
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        return _transform(own, mode, intent, flags)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # a broken profile is no reason to refuse the picture: the plain conversion is the fallback


def _transform(
    profile: Any,  # an ImageCmsProfile, or the core profile that createProfile returns
    mode: str,
    intent: ImageCms.Intent = ImageCms.Intent.PERCEPTUAL,
    flags: ImageCms.Flags = ImageCms.Flags.NONE,
) -> Convert:
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)
    return lambda band: ImageCms.applyTransform(band, transform)


def _floats(band: Image.Image) -> Floats:
    """Return 8-bit channels as ``(h, W, C)``."""
    levels = np.asarray(band)
    values: Floats = np.divide(levels if levels.ndim == 3 else levels[:, :, None], np.float32(255), dtype=np.float32)
    return values

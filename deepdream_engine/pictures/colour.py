"""Any mode that Pillow decodes to float32 RGB in [0, 1], with alpha and the colour profile apart.

RGB keeps its own profile, so a dream is encoded in the colours it came in. What has no RGB of its own (CMYK,
LAB, grey) becomes sRGB, through its profile where it has a usable one.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Floats = NDArray[np.float32]
Arrays = tuple[Floats, Floats | None, bytes | None]

_PROFILE_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_ALPHA_MODES = {"LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "RGBA": "RGBA"}
_WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def to_arrays(image: Image.Image) -> Arrays:
    """Return pixels ``(H, W, 3)``, alpha ``(H, W)`` or ``None``, and the profile of the pixels."""
    if image.mode in _WIDE:
        return _from_wide(image)
    icc = image.info.get("icc_profile")
    profile = icc if isinstance(icc, bytes) else None
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _with_alpha(image, profile)
    if image.mode == "CMYK":
        # Adobe programs store CMYK inverted in JPEG; Pillow's JPEG reader has already turned it over (as
        # browsers do, whether or not the Adobe marker is there). In TIFF it is stored straight. Both are
        # straight here.
        return _floats(_through_profile(image, profile) or image.convert("RGB")), None, None
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return _floats(converted if converted is not None else image), None, None
    if image.mode in ("L", "1"):
        grey = image.convert("L")
        return _floats(_through_profile(grey, profile) or grey.convert("RGB")), None, None
    return _floats(image.convert("RGB")), None, _usable(profile, "RGB")


def upright(array: Floats, orientation: int) -> Floats:
    """Apply an EXIF orientation (1 to 8) to ``(H, W)`` or ``(H, W, C)``."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, k=-1),
        7: lambda a: np.rot90(a, k=2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, k=1),
    }.get(orientation, lambda a: a)(array)
    return np.ascontiguousarray(turned)


def _with_alpha(image: Image.Image, profile: bytes | None) -> Arrays:
    grey = image.mode in ("L", "LA", "La", "1")
    whole = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = np.asarray(whole.getchannel("A"), dtype=np.float32) / np.float32(255)
    # Straight alpha: the colours under it stay as they were stored, nothing is multiplied and divided again.
    opaque = whole.convert("RGB")
    if grey:
        converted = _through_profile(opaque.getchannel("R"), profile)
        return _floats(converted or opaque), alpha, None
    return _floats(opaque), alpha, _usable(profile, "RGB")


def _from_wide(image: Image.Image) -> Arrays:
    """More than 8 bits of grey, scaled to [0, 1] and never clipped."""
    values = np.asarray(image)
    alpha = None
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = (values != transparent).astype(np.float32)
    if image.mode.startswith("I;16"):
        grey = values.astype(np.float32) / np.float32(65535)
        if _white_is_zero(image):
            grey = 1 - grey
    else:
        grey = _scaled(values.astype(np.float64))
    return np.repeat(grey.astype(np.float32)[:, :, None], 3, axis=2), alpha, None


def _scaled(values: NDArray[np.float64]) -> Floats:
    """Numbers without a declared range: the least usual one that holds them (1, 255, 65535), or stretched."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.float32)
    low, high = float(values[finite].min()), float(values[finite].max())
    values = np.clip(np.nan_to_num(values, nan=low, posinf=high, neginf=low), low, high)
    if low < 0 or high > 65535:
        return ((values - low) / max(high - low, np.finfo(np.float64).tiny)).astype(np.float32)
    return (values / _full_scale(high)).astype(np.float32)


def _full_scale(high: float) -> float:
    return next(scale for scale in (1.0, 255.0, 65535.0) if high <= scale)


def _white_is_zero(image: Image.Image) -> bool:
    # Pillow turns 1- and 8-bit "white is zero" TIFFs over, not the 16-bit ones.
    return image.format == "TIFF" and image.getexif().get(0x106) == 0


def _usable(profile: bytes | None, mode: str) -> bytes | None:
    """Return ``profile`` if it is one and describes pixels of ``mode``."""
    if profile is None or profile[36:40] != b"acsp" or profile[16:20] != _PROFILE_SPACES[mode]:
        return None
    return profile


def _through_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Convert to sRGB through the picture's own profile; ``None`` if it has none that works."""
    usable = _usable(profile, image.mode)
    if usable is None:
        return None
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(usable)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # a broken profile is no reason to refuse the picture: the plain conversion is the fallback


def _floats(image: Image.Image) -> Floats:
    return np.asarray(image, dtype=np.float32) / np.float32(255)

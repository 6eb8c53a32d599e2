"""Small versions of pictures for screens: upright, opaque, in sRGB; a film is shown by the frame in its middle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadPicture
from deepdream_plugins.builtin.sinks.deliveries import shown
from deepdream_plugins.builtin.sinks.film_frames import frame_of

if TYPE_CHECKING:
    from PIL import Image

_MOST_MEGAPIXELS = 500.0  # the daemon has its own limit, which the user sets; this guards what replaced its files
_OVERSIZE = 3  # quick reductions stop at so many times the wanted size, from which it is resampled well
_PLAIN_MODES = ("RGB", "RGBA", "L")
_BAND_ROWS = 256


def small(path: Path, longest_side: int, background: tuple[int, int, int]) -> Image.Image:
    """Return the picture in RGB, ``longest_side`` pixels at most; what is transparent shows ``background``.

    Raises :class:`BadPicture` if it is none, and ``OSError`` if it cannot be read.
    """
    if (frame := frame_of(path)) is not None:
        frame.thumbnail((longest_side, longest_side))
        return frame
    data = path.read_bytes()
    try:
        return _plain(data, longest_side, background) or _any(data, longest_side, background)
    except BadPicture as error:
        raise BadPicture(f"{shown(str(path))!r}: {error}") from error


def _plain(data: bytes, longest_side: int, background: tuple[int, int, int]) -> Image.Image | None:
    """Decode with Pillow alone, in a fraction of the memory; ``None`` for all but the most usual pictures, and for
    damaged ones, which the other way words better."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP"]) as image:
            profile = image.info.get("icc_profile")
            is_plain = image.mode in _PLAIN_MODES and "transparency" not in image.info
            is_grey_by_profile = image.mode == "L" and profile is not None
            if not is_plain or is_grey_by_profile or image.width * image.height > _MOST_MEGAPIXELS * 1e6:
                return None
            image.draft(image.mode, (longest_side * _OVERSIZE, longest_side * _OVERSIZE))
            image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=_OVERSIZE)
            upright = ImageOps.exif_transpose(image)
    except (OSError, ValueError, ArithmeticError, LookupError, SyntaxError, TypeError, Image.DecompressionBombError):
        return None
    if upright.mode == "RGBA":
        behind = Image.new("RGBA", upright.size, (*background, 255))
        upright = Image.alpha_composite(behind, upright)
    return _in_srgb(upright.convert("RGB"), profile)


def _any(data: bytes, longest_side: int, background: tuple[int, int, int]) -> Image.Image:
    import numpy as np
    from PIL import Image

    from deepdream_engine.pictures import decode

    picture = decode(data, max_megapixels=_MOST_MEGAPIXELS)
    levels = np.empty(picture.pixels.shape, dtype=np.uint8)  # (H, W, 3)
    for top in range(0, len(levels), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        levels[band] = picture.pixels[band] * 255 + 0.5
    image = Image.fromarray(levels)
    if picture.alpha is not None:
        alpha = Image.fromarray((picture.alpha * 255 + 0.5).astype(np.uint8))
        image = Image.composite(image, Image.new("RGB", image.size, background), alpha)
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=_OVERSIZE)
    return _in_srgb(image, picture.icc_profile)


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    from PIL import ImageCms

    if not isinstance(profile, bytes):
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):  # a broken profile, without which others show the picture, too
        return image
    return image if converted is None else converted

"""What a picture carries beside its pixels: EXIF and XMP made true for an upright one, and its resolution.

Metadata is worth keeping but never worth a refusal: what cannot be read is left out.
"""

from __future__ import annotations

import re
import struct

from PIL import Image

_ORIENTATION = 0x112
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_MAKER_NOTE = 0x927C
_PIXEL_SIZE = (0xA002, 0xA003)
# Tags that describe how the *source* stored its pixels (strips, tiles, palettes, thumbnails), or that hold
# what is kept elsewhere (XMP, ICC, IPTC and Photoshop blocks): true of the old file, wrong in a new one.
_STRUCTURAL_RANGES = (
    *((254, 259), (262, 266), (273, 273), (277, 281), (284, 284), (288, 292), (301, 301), (317, 330)),
    *((332, 334), (336, 347), (512, 521), (529, 532), (700, 700), (33550, 33550), (33723, 33723)),
    *((34377, 34377), (34675, 34675), (37724, 37724), (50341, 50341), (50706, 50706)),
)
_STRUCTURAL = frozenset(tag for first, last in _STRUCTURAL_RANGES for tag in range(first, last + 1))
_EXIF_FAULTS = (
    *(ValueError, TypeError, LookupError, AttributeError, OSError, SyntaxError, struct.error),
    *(ArithmeticError, RuntimeError, AssertionError),
)
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8](\s*(?:[\"']|</))")


def read_exif(image: Image.Image) -> tuple[bytes | None, int]:
    """Return the EXIF block, upright and without thumbnail, and the orientation that pixels still need."""
    try:
        exif = image.getexif()
        found = exif.get(_ORIENTATION, 1)
        orientation = found if isinstance(found, int) and 1 <= found <= 8 else 1
    except _EXIF_FAULTS:
        return None, 1
    try:
        return _rewritten(exif), orientation
    except _EXIF_FAULTS:
        return None, orientation


def fit_exif(block: bytes | None, limit_bytes: int) -> bytes | None:
    """Return ``block`` if it fits, without its maker note if only that fits, else ``None``."""
    if block is None or len(block) <= limit_bytes:
        return block
    try:
        exif = Image.Exif()
        exif.load(block)
        exif.get_ifd(_EXIF_IFD).pop(_MAKER_NOTE, None)
        shorter = _rewritten(exif)
    except _EXIF_FAULTS:
        return None
    return shorter if shorter is not None and len(shorter) <= limit_bytes else None


def raw_text(value: object) -> object:
    """Return a text value as the bytes it was: Pillow reads Latin-1 but writes ASCII and ``?``."""
    return value if not isinstance(value, str) or value.isascii() else value.encode("latin-1", "replace")


def read_xmp(image: Image.Image) -> bytes | None:
    """Return the XMP packet with an upright ``tiff:Orientation``, or ``None``."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8", "surrogatepass")
    if not isinstance(xmp, bytes) or not xmp.strip(b"\x00 \r\n\t"):
        return None
    return _XMP_ORIENTATION.sub(rb"\g<1>1\g<2>", xmp.rstrip(b"\x00"))


def read_dpi(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Return dots per inch ``(x, y)`` of the upright picture, or ``None`` if it states none."""
    dpi = image.info.get("dpi")
    try:
        x, y = (float(value) for value in dpi)  # type: ignore[union-attr]
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not (1 <= x <= 100_000 and 1 <= y <= 100_000):
        return None
    return (y, x) if orientation >= 5 else (x, y)


def _rewritten(exif: Image.Exif) -> bytes | None:
    """Serialise what is worth keeping. Without the thumbnail (IFD1): it would show the source."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _STRUCTURAL and tag not in (_ORIENTATION, _EXIF_IFD, _GPS_IFD, _INTEROP_IFD):
            kept[tag] = raw_text(value)
    photo = {tag: raw_text(value) for tag, value in exif.get_ifd(_EXIF_IFD).items() if tag not in _PIXEL_SIZE}
    gps = {tag: raw_text(value) for tag, value in exif.get_ifd(_GPS_IFD).items()}
    if photo:
        kept[_EXIF_IFD] = photo
    if gps:
        kept[_GPS_IFD] = gps
    if not len(kept):
        return None
    kept[_ORIENTATION] = 1
    return kept.tobytes()

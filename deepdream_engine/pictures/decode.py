"""Bytes of a file to a :class:`Picture`, or :class:`BadPicture` with the reason: there is no third outcome.

Out of memory is the one exception (``MemoryError``): it says something about the machine, not about the
picture, so the caller may try again later. Safe to call from several threads at once.
"""

from __future__ import annotations

import errno
import io
import struct
import threading
import warnings
import zlib

from PIL import Image, ImageCms, ImageFile

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import jpeg, metadata, sniff
from deepdream_engine.pictures.bands import bands
from deepdream_engine.pictures.colour import Allocate, allocate_here, to_arrays
from deepdream_engine.pictures.header import declared_size
from deepdream_engine.pictures.picture import Picture

HOSTILE_INPUT = (
    # Pillow's parsers are ordinary Python that indexes, unpacks and does arithmetic on whatever the file
    # says, so a hostile or damaged file surfaces as the exception of the first operation that its lies
    # break. All input is in memory: an OSError (EOFError, UnidentifiedImageError) cannot be the disk's, it
    # is the decoder's verdict.
    OSError,
    EOFError,
    SyntaxError,  # Pillow's own "this is not a ... file"
    struct.error,
    zlib.error,
    ValueError,  # with UnicodeError
    ArithmeticError,  # with OverflowError, ZeroDivisionError
    LookupError,  # with KeyError, IndexError
    TypeError,  # a missing tag is None, and None does not add
    AttributeError,
    AssertionError,
    RuntimeError,  # with NotImplementedError, RecursionError
    NameError,  # with UnboundLocalError: a loop over chunks that found none
    Image.DecompressionBombError,  # a plain Exception in Pillow
    ImageCms.PyCMSError,  # likewise
    # Left out: MemoryError (transient), KeyboardInterrupt and SystemExit (not about the picture).
)

LARGEST_BLOCK_BYTES = 16 << 20
"""Of EXIF, profile or XMP; none that means anything to anyone is larger, and it is left out."""

_PILLOW_LIMIT_LOCK = threading.Lock()
_TRUNCATED_WORDS = (
    "truncated",
    "unexpected end",
    "not enough",
    "broken data stream",
    "unexpected eof",
    "insufficient",
)


def inspect(data: bytes, *, max_megapixels: float = 200.0) -> tuple[str, float]:
    """Return Pillow's name of the container and how many megapixels the header tells of, or raise
    :class:`BadPicture`. No decoder has a part in it.
    """
    if not data:
        raise BadPicture("the file is empty (0 bytes): copy it again.")
    name = sniff.picture_format(data)
    if name is None:
        raise BadPicture(
            f"not a picture: {sniff.describe(data)}. "
            "Valid: JPEG, PNG, WebP, TIFF, BMP, GIF, whatever the file's suffix."
        )
    size = declared_size(data, name)
    if size is None:
        if sniff.looks_cut_off(data, name):
            raise _truncated(data, name)
        raise BadPicture(f"a damaged {name}: its header does not tell its size. Copy or export it again.")
    _check_size(size, name, max_megapixels)
    return name, size[0] * size[1] / 1e6


def decode(data: bytes, *, max_megapixels: float = 200.0, allocate: Allocate = allocate_here) -> Picture:
    """Decode the first frame of ``data``, upright, into float32 RGB, or raise :class:`BadPicture`.

    The container is recognised by content alone. ``max_megapixels`` is compared with the size that the header
    declares, before any pixel is decoded. ``allocate`` makes the memory that the pixels go to.
    """
    name, _ = inspect(data, max_megapixels=max_megapixels)
    tame_pillow(max_megapixels)
    if name == "PNG" and (damage := sniff.png_damage(data)) is not None:
        raise (
            _truncated(data, name) if damage == "truncated" else BadPicture(f"a damaged PNG: {damage}. Copy it again.")
        )
    variants = jpeg.variants(data) if name == "JPEG" else [data]
    try:
        with open_header(variants.pop(0), name) as image:
            _check_size(image.size, name, max_megapixels)
            if name == "TIFF":
                _check_tiles(image, max_megapixels)
                _check_strips(image, data)
            image.load()
            if variants:
                _check_same(image, variants.pop())
            return _picture(image, allocate)
    except HOSTILE_INPUT as error:
        if name == "JPEG" and _is_cut(error) and jpeg.scans(data) is not None:
            raise _cut_within(data) from error
        raise _refusal(error, data, name, max_megapixels) from error


def warm_up() -> None:
    """Import all that decoding may need, for a process that cannot open files later."""
    Image.init()
    small = Image.new("RGB", (8, 8))
    for name in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        buffer = io.BytesIO()
        (small.quantize(4) if name == "GIF" else small).save(buffer, name)
        decode(buffer.getvalue())


def open_header(data: bytes, name: str) -> ImageFile.ImageFile:
    """Parse the header with Pillow's parser for ``name`` and no other. No pixel is decoded.

    ``Image.open`` would check Pillow's own process-wide pixel limit (and warn below ours), and would hide the
    parser's reason behind "cannot identify image file".
    """
    Image.init()  # idempotent; registers the parsers
    factory, _accept = Image.OPEN[name]
    return factory(io.BytesIO(data), "")


def _picture(image: ImageFile.ImageFile, allocate: Allocate) -> Picture:
    exif, orientation = metadata.read_exif(image)  # after load(): TIFF turns itself upright and resets its tag
    pixels, alpha, icc_profile = to_arrays(image, orientation, allocate)
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=image.format or "PNG",
        exif=_kept(exif),
        icc_profile=_kept(icc_profile),
        xmp=_kept(metadata.read_xmp(image)),
        dpi=metadata.read_dpi(image, orientation),
    )


def _kept(block: bytes | None) -> bytes | None:
    return block if block is not None and len(block) <= LARGEST_BLOCK_BYTES else None


def tame_pillow(max_megapixels: float = 200.0) -> None:
    """Bring Pillow's process-wide switches to the one state that every thread here needs, for good.

    Each write is idempotent and none is ever undone, so threads cannot see each other's half-way states
    (saving and restoring, as ``warnings.catch_warnings`` does, would not be safe).
    """
    # A plugin may have switched this on, as many recipes on the web advise; half a grey picture is not a
    # picture.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Pillow's limit must not be below ours. It is raised, never lowered and never removed: it still guards
    # what others in the process open, and the tiles and frames that some parsers find behind the header.
    with _PILLOW_LIMIT_LOCK:
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(max_megapixels * 1e6))
    # Warnings about odd but harmless metadata. The filter may be lost whenever somebody leaves a
    # catch_warnings block, hence the look on each call.
    if not any(entry[0] == "ignore" and _is_ours(entry[3]) for entry in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)


_PILLOW_MODULES = r"PIL\."


def _is_ours(module: object) -> bool:
    return getattr(module, "pattern", module) == _PILLOW_MODULES


def _check_size(size: tuple[int, int], name: str, max_megapixels: float) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise BadPicture(
            f"this {name} is of zero size ({width} x {height} pixels): there is nothing to dream on. Export it again."
        )
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise BadPicture(
            f"too large: {width} x {height} is {megapixels:,.1f} megapixels, "
            f"the limit is {max_megapixels:g}. Scale it down, or raise `max_megapixels`."
        )


def _check_tiles(image: ImageFile.ImageFile, max_megapixels: float) -> None:
    """Refuse a small TIFF whose tiles are enormous: libtiff allocates a whole tile."""
    tags = image.getexif()
    width, height = tags.get(0x142, 0), tags.get(0x143, 0)
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        _check_size((width, height), "TIFF tile", max_megapixels)


def _check_strips(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse a compressed TIFF whose data end early; libtiff would also write to standard error."""
    tags = image.getexif()
    if tags.get(0x103, 1) == 1:
        return  # uncompressed: Pillow reads it alone, and does not go by the byte counts
    for offsets_tag, lengths_tag in ((0x111, 0x117), (0x144, 0x145)):
        offsets, lengths = _numbers(tags.get(offsets_tag)), _numbers(tags.get(lengths_tag))
        if any(offset + length > len(data) for offset, length in zip(offsets, lengths, strict=False)):
            raise _truncated(data, "TIFF")


def _check_same(image: ImageFile.ImageFile, other: bytes) -> None:
    """Refuse a JPEG that becomes another picture when its scans are followed by other bytes."""
    with open_header(other, "JPEG") as again:
        again.load()
        width, height = image.size
        for rows in bands(height, width):
            box = (0, rows.start, width, rows.stop)
            if image.crop(box).tobytes() != again.crop(box).tobytes():
                raise OSError("its scans are truncated")


def _is_cut(error: Exception) -> bool:
    return any(word in str(error).lower() for word in _TRUNCATED_WORDS)


def _cut_within(data: bytes) -> BadPicture:
    return BadPicture(
        f"a truncated JPEG: it has {len(data):,} bytes and an end, but the data of its pixels stop before, so part of "
        "it would be grey. Copy or export it again."
    )


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))


def _refusal(error: Exception, data: bytes, name: str, max_megapixels: float) -> BadPicture:
    """Word what a parser raised. Raises ``MemoryError`` where the parser hid one in an ``OSError``."""
    reason = str(error) or type(error).__name__
    lowered = reason.lower()
    if "out of memory" in lowered or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        raise MemoryError(reason) from error
    if isinstance(error, Image.DecompressionBombError):
        return BadPicture(
            f"too large: more than {max_megapixels:g} megapixels. Scale it down, or raise `max_megapixels`."
        )
    # A PNG that got here has all of its chunks; its data may still not be what they should.
    if name != "PNG" and (_is_cut(error) or sniff.looks_cut_off(data, name)):
        return _truncated(data, name)
    if "pixel mode" in lowered or "unsupported" in lowered or "unknown" in lowered or "mode" in lowered.split():
        return BadPicture(
            f"this {name} is of a kind that cannot be read ({reason}): save it with 8 bits per channel, as RGB, "
            "RGBA or grey."
        )
    return BadPicture(f"a damaged {name}: {reason}. Copy or export it again.")


def _truncated(data: bytes, name: str) -> BadPicture:
    return BadPicture(f"a truncated {name}: it ends after {len(data):,} bytes, before the picture does. Copy it again.")

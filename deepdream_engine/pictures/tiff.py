"""A TIFF with all of its metadata: deflate-compressed strips with horizontal differencing.

Pillow hands compressed TIFFs to libtiff, which cannot take an EXIF directory along; a baseline file is little
enough work to write here, with Pillow's own directory writer.
"""

from __future__ import annotations

import io
import zlib
from collections import deque

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import BYTE, SHORT, UNDEFINED

from deepdream_engine.pictures.metadata import raw_text

_STRIP_BYTES = 1 << 20
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825


def tiff_bytes(
    image: Image.Image,
    *,
    exif: bytes | None,
    icc_profile: bytes | None,
    xmp: bytes,
    dpi: tuple[float, float] | None,
) -> bytes:
    """Return ``image`` (RGB or RGBA) as a little-endian TIFF."""
    width, height = image.size
    channels = len(image.getbands())
    rows = max(1, _STRIP_BYTES // (width * channels))
    strips = deque(
        _strip(np.asarray(image.crop((0, top, width, min(top + rows, height))))) for top in range(0, height, rows)
    )

    tags = ImageFileDirectory_v2()
    if exif is not None:
        _copy_exif(exif, tags)
    tags[256], tags[257] = width, height
    tags[258] = (8,) * channels
    tags[259] = 8  # Adobe deflate
    tags[262] = 2  # RGB
    tags[277] = channels
    tags[278] = rows
    tags[284] = 1  # interleaved
    tags[317] = 2  # horizontal differencing
    if channels == 4:
        tags.tagtype[338] = SHORT
        tags[338] = 2  # unassociated alpha: not multiplied in
    if dpi is not None:
        tags[282], tags[283], tags[296] = dpi[0], dpi[1], 2
    tags.tagtype[700] = BYTE
    tags[700] = xmp
    if icc_profile is not None:
        tags.tagtype[34675] = UNDEFINED
        tags[34675] = icc_profile
    lengths = [len(strip) for strip in strips]
    tags[279] = tuple(lengths)
    tags[273] = tuple(sum(lengths[:index]) for index in range(len(lengths)))  # Pillow adds where the data begin
    buffer = io.BytesIO()
    tags.save(buffer)
    while strips:
        buffer.write(strips.popleft())  # freed as it goes: all of them are not held twice
    return buffer.getvalue()


def _strip(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]  # modulo 256, as the format has it
    return zlib.compress(differences.tobytes(), 6)


def _copy_exif(block: bytes, tags: ImageFileDirectory_v2) -> None:
    exif = Image.Exif()
    exif.load(block)
    for tag, value in exif.items():
        if tag not in (_EXIF_IFD, _GPS_IFD):
            tags[tag] = raw_text(value)
    for tag in (_EXIF_IFD, _GPS_IFD):
        directory = exif.get_ifd(tag)
        if directory:
            tags[tag] = {key: raw_text(value) for key, value in directory.items()}

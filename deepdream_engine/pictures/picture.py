"""The decoded picture: pixels upright, everything else about the file kept aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded input.

    ``pixels`` is float32 RGB ``(H, W, 3)`` in [0, 1] with the EXIF orientation applied. It lies in memory plane by
    plane, so that ``torch.from_numpy(pixels).permute(2, 0, 1)`` is contiguous without a copy. ``alpha`` is float32
    ``(H, W)`` in [0, 1], or ``None`` for an opaque picture. ``format`` is Pillow's name of the container the
    bytes were really in (``JPEG``, ``PNG`` …), whatever the file was called. ``exif`` (with the orientation
    reset to upright and no thumbnail), ``icc_profile`` and ``xmp`` are as found, or ``None``;
    ``icc_profile`` describes ``pixels`` and is ``None`` when they were converted to sRGB (CMYK, grey).
    ``dpi`` is dots per inch, or ``None``.
    """

    pixels: NDArray[np.float32]
    format: str
    alpha: NDArray[np.float32] | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

"""Light and colour apart: a picture is its luma and its chroma, ``RGB - luma``.

In YCbCr (ITU-R BT.601, as in JPEG), ``(Cb, Cr)`` is that chroma up to two constant factors, so whatever is done to one
in proportion is done to the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


def luma_of(pictures: Tensor) -> Tensor:
    """Return the luma of ``(N, 3, H, W)`` as ``(N, 1, H, W)``."""
    red, green, blue = pictures.unbind(dim=1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def composed(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return ``luma + chroma``, overwriting ``chroma``; where the sum leaves [0, 1], with as much less colour as it
    takes.

    Clamping would change the light there; less colour keeps it, and the hue.
    """
    room_above = (1 - luma) / chroma.amax(dim=1, keepdim=True).clamp_(min=1e-6)
    room_below = luma / chroma.amin(dim=1, keepdim=True).neg_().clamp_(min=1e-6)
    return chroma.mul_(room_above.minimum(room_below).clamp_(0, 1)).add_(luma)

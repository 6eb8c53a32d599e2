"""Decoded frames become RGB, by the matrix and the precision that they have."""

from __future__ import annotations

from typing import Any

from deepdream_daemon.films.extra import pyav

_BT709, _BT601 = 1, 5
_HD_LINES = 720


def rgb(picture: Any, *, has_alpha: bool, has_depth: bool) -> Any:
    """Return ``(H, W, 3)``, or 4 with alpha, by the matrix that the clip names, or that players take for its size."""
    av = pyav()
    flags = av.video.reformatter.Interpolation
    exact = int(flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP | flags.ACCURATE_RND | flags.BICUBIC)
    wanted = ("rgba64le" if has_alpha else "rgb48le") if has_depth else ("rgba" if has_alpha else "rgb24")
    options: dict[str, Any] = {}
    if picture.format.name.startswith("yuv"):
        named = {1: _BT709, 5: _BT601, 6: _BT601, 9: 9}.get(picture.colorspace)
        options["src_colorspace"] = named or (_BT709 if picture.height >= _HD_LINES else _BT601)
    return picture.reformat(format=wanted, interpolation=exact, **options).to_ndarray()


def has_alpha(format: Any) -> bool:
    """Tell whether frames of ``format`` may be transparent."""
    return any(part.is_alpha for part in format.components)

"""What an HDR clip tells of its light beside its frames: the display that it was made on, and how bright it becomes.

Players fit it to their own display by that. What changes from frame to frame (HDR10+, Dolby Vision) is of no use for
dreams, and is not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

COLOUR_STEPS, LUMINANCE_STEPS = 50_000, 10_000
"""Into which HEVC divides a coordinate of a colour, and a candela."""
_FORMAT = "=20i2i"
_DYNAMIC = frozenset({"DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_METADATA", "DOVI_RPU_BUFFER"})


@dataclass(frozen=True, kw_only=True)
class Light:
    """``display``: red, green, blue and white (x and y each), its least and its greatest luminance, as HEVC counts
    them; ``levels``: the brightest pixel and the brightest frame, in candelas. Nothing if that is not said."""

    display: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    is_dynamic: bool = False

    def __post_init__(self) -> None:
        """Refuse what HEVC cannot say; raises ``ValueError``."""
        if len(self.display) not in (0, 10) or len(self.levels) not in (0, 2):
            raise ValueError(f"no light: {self.display}, {self.levels}")
        colours, luminances = self.display[:8], self.display[8:]
        if not all(0 <= value <= COLOUR_STEPS for value in colours):
            raise ValueError(f"no colours of a display: {colours}")
        if not all(0 <= value < 1 << 32 for value in luminances):
            raise ValueError(f"no luminance of a display: {luminances}")
        if not all(0 <= value < 1 << 16 for value in self.levels):
            raise ValueError(f"no brightness: {self.levels}")

    @property
    def is_told(self) -> bool:
        """Whether there is anything that stays the same for the whole clip."""
        return bool(self.display or self.levels)


NO_LIGHT = Light()


def light_of(picture: Any) -> Light:
    """Return what a decoded frame tells; what makes no sense is nothing."""
    try:
        found = {data.type.name: bytes(data) for data in picture.side_data}
        is_dynamic = bool(_DYNAMIC & found.keys())
        return Light(
            display=_display(found.get("MASTERING_DISPLAY_METADATA")),
            levels=_levels(found.get("CONTENT_LIGHT_LEVEL")),
            is_dynamic=is_dynamic,
        )
    except (ValueError, struct.error, ZeroDivisionError):  # also a kind of data that this PyAV does not know
        return NO_LIGHT


def options_for(codec: str, light: Light) -> dict[str, str]:
    """Return what tells the encoder of ``codec`` of it, as ``name``: ``value``; nothing if it cannot be told."""
    return {"hevc": _for_x265, "av1": _for_svt}[codec](light) if keeps_light(codec) else {}


def keeps_light(codec: str) -> bool:
    """Tell whether films of ``codec`` can tell of it."""
    return codec in ("hevc", "av1")


def _for_x265(light: Light) -> dict[str, str]:
    told = []
    if light.display:
        told.append("master-display=" + _spelt([str(value) for value in light.display]))
    if light.levels:
        told.append("max-cll={},{}".format(*light.levels))
    return {"x265-params": ":".join(told)} if told else {}


def _for_svt(light: Light) -> dict[str, str]:
    told = []
    if light.display:
        steps = [COLOUR_STEPS] * 8 + [LUMINANCE_STEPS] * 2
        told.append("mastering-display=" + _spelt([f"{a / b:.5f}" for a, b in zip(light.display, steps, strict=True)]))
    if light.levels:
        told.append("content-light={},{}".format(*light.levels))
    return {"svtav1-params": ":".join(told)} if told else {}


def _spelt(values: Sequence[str]) -> str:
    rx, ry, gx, gy, bx, by, wx, wy, least, most = values
    return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})"


def _display(data: bytes | None) -> tuple[int, ...]:
    """Return what FFmpeg's ``AVMasteringDisplayMetadata`` says, if it says all of it."""
    if data is None:
        return ()
    *numbers, has_primaries, has_luminance = struct.unpack_from(_FORMAT, data)
    if not has_primaries or not has_luminance:
        return ()
    steps = [COLOUR_STEPS] * 8 + [LUMINANCE_STEPS] * 2
    shares = (Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True))
    return tuple(round(share * each) for share, each in zip(shares, steps, strict=True))


def _levels(data: bytes | None) -> tuple[int, ...]:
    return () if data is None else struct.unpack_from("=2I", data)

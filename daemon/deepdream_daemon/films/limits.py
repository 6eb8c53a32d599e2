"""How much a clip may ask for, by what its header says and by what then comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from deepdream_engine.errors import BadPicture

_FRACTION = re.compile(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?", re.ASCII)
"""Times that were added up may have long denominators; an exponent may stand for more digits than there is memory."""


def fraction_of(told: object) -> Fraction:
    """Return the fraction that a stranger tells; raises ``ValueError`` for one that would take long to make, too."""
    if not isinstance(told, str) or not _FRACTION.fullmatch(told):
        raise ValueError(f"no fraction: {str(told)[:50]!r}")
    try:
        return Fraction(told)
    except ZeroDivisionError as error:
        raise ValueError(f"no fraction: {told!r}") from error


@dataclass(frozen=True, kw_only=True)
class ClipLimits:
    """``max_megapixels`` is for each frame."""

    max_megapixels: float = 40.0
    max_frames: int = 100_000
    max_seconds: float = 3600.0

    @property
    def max_pixels(self) -> int:
        """Of a frame."""
        return int(self.max_megapixels * 1e6)

    def check_size(self, width: int, height: int) -> None:
        """Raise :class:`BadPicture` for frames of no size, or too large a one."""
        if width < 1 or height < 1:
            raise BadPicture(f"its frames are of zero size ({width} x {height} pixels). Export it again.")
        if width * height > self.max_pixels:
            raise BadPicture(
                f"too large: its frames of {width} x {height} are {width * height / 1e6:,.1f} megapixels, the limit is "
                f"{self.max_megapixels:g}. Scale it down, or raise the limit."
            )

    def check_frames(self, frames: int) -> None:
        """Raise :class:`BadPicture` for too many frames."""
        if frames > self.max_frames:
            raise BadPicture(
                f"too long: it has more than {self.max_frames:,} frames, which is the limit. Cut it, or raise the "
                "limit."
            )

    def check_seconds(self, seconds: float | Fraction) -> None:
        """Raise :class:`BadPicture` for too long a clip."""
        if float(seconds) > self.max_seconds:
            raise BadPicture(
                f"too long: it plays for {float(seconds):,.1f} s, the limit is {self.max_seconds:,.1f}. Cut it, or "
                "raise the limit."
            )

"""One frame of a film, and what is known of the film as a whole; pixels become 8 or 16 bits only here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_daemon.films.light import NO_LIGHT, Light
from deepdream_engine.errors import BadPicture

if TYPE_CHECKING:
    from numpy.typing import NDArray

TICKS_PER_SECOND = 90_000
"""In which the times of a film of variable rate are counted: 24, 25, 30, 50 and 60 per second are whole in it."""


BT709, BT2020, DISPLAY_P3 = 1, 9, 12
PRIMARIES = frozenset({BT709, BT2020, DISPLAY_P3})
HDR_TRANSFERS = frozenset({16, 18})
"""PQ and HLG."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame, upright and of the size that is shown.

    ``pixels`` is float32 RGB ``(3, H, W)`` in [0, 1], ``alpha`` ``(1, H, W)``, or ``None`` if it is opaque; both are
    tensors of any device, or arrays. ``pts`` says when it is shown and ``duration`` for how long, in seconds.
    ``is_lost``: it could not be decoded, and this is another one in its place.
    """

    pixels: Any
    pts: Fraction
    duration: Fraction
    alpha: Any | None = None
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class FilmFacts:
    """What a film is, whatever is in it. ``width`` and ``height`` are those that are shown.

    ``rotation``: by how many degrees, clockwise, a player turns what is stored (0, 90, 180, 270). ``loop``: how many
    times an animation is played, 0 for ever, ``None`` if that is not said. ``container`` names what a clip came in.
    ``pixel_aspect``: how wide a pixel is shown, of its height. ``bits`` of a channel came in. ``primaries`` and
    ``transfer`` say what light its numbers mean, as FFmpeg counts them: those of HDR stay what they are, and so does
    ``light``, as far as it can.
    """

    width: int
    height: int
    rate: Fraction = Fraction(25)
    is_variable: bool = False
    rotation: int = 0
    has_alpha: bool = False
    loop: int | None = None
    container: str | None = None
    frames: int | None = None
    duration: Fraction | None = None
    audio: tuple[str, ...] = ()
    pixel_aspect: Fraction = Fraction(1)
    bits: int = 8
    primaries: int = BT709
    transfer: int = BT709
    light: Light = NO_LIGHT

    def __post_init__(self) -> None:
        """Refuse what is no film."""
        if self.width < 1 or self.height < 1:
            raise BadPicture(f"a film of {self.width} x {self.height} pixels has nothing to show: export it again.")
        if self.rate <= 0:
            raise BadPicture(f"a film of {self.rate} frames a second shows nothing: give it a rate above 0.")
        if not Fraction(1, 100) <= self.pixel_aspect <= 100:
            raise BadPicture(
                f"a film whose pixels are {self.pixel_aspect} times as wide as high shows nothing: export it again."
            )
        if self.rotation not in (0, 90, 180, 270):
            raise BadPicture(f"a film is turned by 0, 90, 180 or 270 degrees, not by {self.rotation}.")

    @property
    def is_hdr(self) -> bool:
        """Whether 8 bits are too few for its light."""
        return self.transfer in HDR_TRANSFERS

    @property
    def time_base(self) -> Fraction:
        """The unit of its times, in seconds."""
        return Fraction(1, TICKS_PER_SECOND) if self.is_variable else 1 / self.rate


def levels(frame: Frame, *, bits: int = 8, with_alpha: bool = False) -> NDArray[Any]:
    """Return the frame as ``(H, W, 3)``, or ``(H, W, 4)`` with alpha, in ``uint8`` or ``uint16``, rounded half to even.

    A frame without alpha is opaque.
    """
    pixels = array_of(frame.pixels)  # (3, H, W)
    channels = 4 if with_alpha else 3
    whole = np.empty((*pixels.shape[1:], channels), np.uint8 if bits == 8 else np.uint16)
    most = np.float32((1 << bits) - 1)
    whole[..., :3] = _rounded(pixels, most).transpose(1, 2, 0)
    if with_alpha:
        whole[..., 3] = most if frame.alpha is None else _rounded(array_of(frame.alpha)[0], most)
    return whole


def array_of(values: Any) -> NDArray[np.float32]:
    """Return the numbers of a tensor of any device, or of an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values, np.float32)


def _rounded(values: NDArray[np.float32], most: np.float32) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = np.clip(values, 0, 1) * most
    return np.rint(scaled, out=scaled)

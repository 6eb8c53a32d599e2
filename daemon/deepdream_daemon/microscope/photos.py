"""Photos that a network is shown: found in a folder of any size, read one by one, never all at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepdream_daemon.intake.companions import SUFFIXES
from deepdream_daemon.intake.sources import limit_bytes
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.pictures import decode

if TYPE_CHECKING:
    from torch import Tensor

_FEW_TO_NAME = 10
_LONGEST = 3


@dataclass
class Photos:
    """The pictures below ``folder``, by name.

    What cannot be read is left out: ``unreadable`` counts it and ``why`` says the reason of the first few.
    """

    folder: Path
    max_megapixels: float
    files: list[str] = field(default_factory=list)
    unreadable: int = 0
    why: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find them. Raises :class:`BadOption` if there are none."""
        if not self.folder.is_dir():
            what = "is no folder" if self.folder.exists() else "does not exist"
            raise BadOption(f"--photos: {str(self.folder)!r} {what}. Name a folder of pictures.")
        self.files = sorted(_names(self.folder))
        if not self.files:
            raise BadOption(
                f"--photos: there is no picture in {str(self.folder)!r} or its sub-folders. Looked for: "
                f"{', '.join(SUFFIXES)}."
            )

    def read(self, name: str, side_px: int) -> Tensor | None:
        """Return the middle of a picture, ``(3, side, side)``, or nothing if it cannot be read."""
        pixels = self._pixels(name)
        return None if pixels is None else square(pixels, side_px)

    def read_whole(self, name: str, shorter_px: int) -> Tensor | None:
        """Return a picture ``(3, H, W)``, its shorter side ``shorter_px``, or nothing if it cannot be read. What is
        more than three times as long as it is wide loses both ends."""
        pixels = self._pixels(name)
        return None if pixels is None else _middle(_resized(pixels, shorter_px), _LONGEST * shorter_px)

    def _pixels(self, name: str) -> NDArray[np.float32] | None:
        path = self.folder / name
        try:
            if path.stat().st_size > limit_bytes(self.max_megapixels):
                raise BadPicture("too large a file")  # noqa: TRY301  (told like all the others)
            return decode(path.read_bytes(), max_megapixels=self.max_megapixels).pixels
        except (OSError, BadPicture) as error:
            self.unreadable += 1
            if len(self.why) < _FEW_TO_NAME:
                self.why.append(f"{name}: {error}")
            return None


def square(pixels: NDArray[np.float32], side_px: int) -> Tensor:
    """Return the middle of ``(H, W, 3)`` as ``(3, side, side)``, its shorter side shrunk or enlarged to that."""
    return _middle(_resized(pixels, side_px), side_px)


def _resized(pixels: NDArray[np.float32], shorter_px: int) -> Tensor:
    """Return ``(H, W, 3)`` as ``(3, h, w)``, the shorter of which is ``shorter_px``."""
    import torch
    from torch.nn import functional

    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    height, width = picture.shape[2:]
    scale = shorter_px / min(height, width)
    size = (max(shorter_px, round(height * scale)), max(shorter_px, round(width * scale)))
    return functional.interpolate(picture, size, mode="bilinear", antialias=scale < 1, align_corners=False)[0]


def _middle(picture: Tensor, most_px: int) -> Tensor:
    """Return the middle of ``(3, H, W)``, neither side longer than ``most_px``."""
    height, width = (min(length, most_px) for length in picture.shape[1:])
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width].clamp(0, 1).contiguous()


def _names(folder: Path) -> Iterator[str]:
    """Yield the pictures below ``folder``, as paths with ``/``; hidden ones and links to folders are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(folder).as_posix()
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"

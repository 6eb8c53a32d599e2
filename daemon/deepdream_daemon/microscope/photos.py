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


@dataclass
class Photos:
    """The pictures below ``folder``, by name; ``labels`` are the names of its sub-folders, if pictures lie in any.

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

    def label(self, name: str) -> str:
        """Return the name of the first sub-folder that a picture lies in, or nothing."""
        return name.split("/", 1)[0] if "/" in name else ""

    def read(self, name: str, side_px: int) -> Tensor | None:
        """Return the middle of a picture, ``(3, side, side)``, or nothing if it cannot be read."""
        path = self.folder / name
        try:
            if path.stat().st_size > limit_bytes(self.max_megapixels):
                raise BadPicture("too large a file")  # noqa: TRY301  (told like all the others)
            return square(decode(path.read_bytes(), max_megapixels=self.max_megapixels).pixels, side_px)
        except (OSError, BadPicture) as error:
            self.unreadable += 1
            if len(self.why) < _FEW_TO_NAME:
                self.why.append(f"{name}: {error}")
            return None


def square(pixels: NDArray[np.float32], side_px: int) -> Tensor:
    """Return the middle of ``(H, W, 3)`` as ``(3, side, side)``, its shorter side shrunk or enlarged to that."""
    import torch
    from torch.nn import functional

    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    height, width = picture.shape[2:]
    scale = side_px / min(height, width)
    size = (max(side_px, round(height * scale)), max(side_px, round(width * scale)))
    resized = functional.interpolate(picture, size, mode="bilinear", antialias=scale < 1, align_corners=False)[0]
    top, left = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    return resized[:, top : top + side_px, left : left + side_px].clamp(0, 1).contiguous()


def _names(folder: Path) -> Iterator[str]:
    """Yield the pictures below ``folder``, as paths with ``/``; hidden ones and links to folders are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(folder).as_posix()
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"

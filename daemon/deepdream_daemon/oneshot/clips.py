"""Clips that somebody has named on the command line: which files are some, and that they stay what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from deepdream_daemon.intake import sources
from deepdream_daemon.intake.moving import moving
from deepdream_engine.errors import BadPicture


def is_clip(path: Path) -> bool:
    """Tell a clip or an animation from everything else, which is for others to say something about."""
    try:
        if not path.is_file():
            return False  # to open a pipe would wait for somebody to write
        with path.open("rb") as file:
            return moving(file) is not None
    except OSError:
        return False


@dataclass(frozen=True)
class NamedClip:
    """A clip as it was when it was named; implements ``clipping.ClipFile``."""

    path: Path
    stamp: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Note how it looks now; a link to it is followed, since somebody has named it."""
        path = path.resolve()
        return cls(path, sources.stamp(path.stat()))

    def opened(self) -> BinaryIO:
        """Open it; raises :class:`BadPicture` if it has changed, since the film would be of two halves."""
        if sources.stamp(self.path.stat()) != self.stamp:
            raise BadPicture("the clip was changed while it was dreamt. Try again when it is whole.")
        return self.path.open("rb")

"""Films between the daemon and whoever dreams them: what is ordered, and what comes back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from deepdream_daemon import beneath
from deepdream_daemon.intake import sources
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.films.clipping import ClipFile


class ToBeContinued(DeepDreamError):
    """The slice of a film is over: what is finished of it lies in its spool, and it goes on when its turn comes."""


@runtime_checkable
class GivesWay(Protocol):
    """A feed that knows whether a film is to give way to others."""

    def gives_way(self, index: int) -> bool:
        """Tell whether the film that was handed out as number ``index`` shall end its slice now."""
        ...


@runtime_checkable
class TakesPreviews(Protocol):
    """A feed whose pictures may be shown after their first octave."""

    def wants_preview(self, index: int) -> bool:
        """Tell whether the picture that was handed out as number ``index`` is to be shown."""
        ...

    def take_preview(self, index: int, rendered: Any) -> None:
        """Take what it is after its first octave, as if it were its dream."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClipOrder:
    """The file that a film is made of, as it looked when it was hashed; implements ``clipping.ClipFile``."""

    path: Path
    root: Path
    stamp: str

    def opened(self) -> BinaryIO:
        """Open it, following no link below the watched folder; raises :class:`sources.Changed` if it is another one by
        now."""
        with beneath.opened(self.root, self.path.parent) as at:
            file = os.fdopen(sources.open_picture(self.path, at), "rb")
        if sources.stamp(os.fstat(file.fileno())) != self.stamp:
            file.close()
            raise sources.Changed("the clip changed while it was dreamt")
        return file


@dataclass(frozen=True, kw_only=True)
class FilmOrder:
    """A film to be made: its spool is the folder ``spool``, which may grow to ``limit_bytes``; ``identity`` is all that
    decides what its frames are. Without a ``clip`` it is the journey, or the ascent, of a photo. If the recipe leaves
    the container open, the end of ``name`` may say which it is."""

    spool: Path
    limit_bytes: int
    identity: str
    clip: ClipFile | None = None
    name: str = "film"


@dataclass(frozen=True, kw_only=True)
class FilmFile:
    """A whole film, in its spool's folder, and the suffix that its name should have; ``notes`` tell what differs from
    what was asked for."""

    path: Path
    suffix: str
    notes: tuple[str, ...] = ()

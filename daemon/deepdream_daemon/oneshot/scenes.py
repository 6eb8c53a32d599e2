"""The scenes of films that are made once: of a photo or a clip that somebody has named."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.ascending import Ascending
from deepdream_daemon.films.clipping import Clipping, Head, look_into
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.journeying import Journeying
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.options import FilmOptions
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.moving import moving
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import Picture, decode


def is_clip(path: Path) -> bool:
    """Tell a clip or an animation from everything else, which is for others to say something about."""
    try:
        if not path.is_file():
            return False  # to open a pipe would wait for somebody to write
        with path.open("rb") as file:
            return moving(file) is not None
    except OSError:
        return False


class NamedClip:
    """A clip as it was when it was named; implements ``clipping.ClipFile``."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Look into it; raises :class:`BadPicture` if it cannot be read."""
        self._path = path.resolve()
        self._stamp = sources.stamp(self._path.stat())
        self.limits = ClipLimits(max_megapixels=settings.pictures.max_megapixels)
        self.head: Head = look_into(self, self.limits)

    def opened(self) -> BinaryIO:
        """Open it; raises :class:`BadPicture` if it has changed, since the film would be of two halves."""
        if sources.stamp(self._path.stat()) != self._stamp:
            raise BadPicture("the clip was changed while it was dreamt. Try again when it is whole.")
        return self._path.open("rb")

    def scene(self, work: Work) -> Clipping:
        """Return the film of it."""
        beside = _beside(work, self.limits.max_megapixels)
        return Clipping(work.recipe, work.seed, self, beside, head=self.head, limits=self.limits)


def journey_scene(work: Work, settings: Settings, options: FilmOptions, kept: FrameFolder) -> Journeying:
    """Return the journey of the photo of ``work``."""
    most = settings.pictures.max_megapixels
    photo = decode(work.data.pop(), max_megapixels=most)
    return Journeying(work.recipe, work.seed, photo, _beside(work, most), rate=options.rate, kept=kept)


def ascent_scene(work: Work, settings: Settings, options: FilmOptions) -> Ascending:
    """Return the ascent of the photo of ``work``."""
    most = settings.pictures.max_megapixels
    photo = decode(work.data.pop(), max_megapixels=most)
    return Ascending(work.recipe, work.seed, photo, _beside(work, most), rate=options.rate)


def _beside(work: Work, max_megapixels: float) -> Mapping[str, Picture]:
    return companion_pictures(work.companions, partial(decode, max_megapixels=max_megapixels))

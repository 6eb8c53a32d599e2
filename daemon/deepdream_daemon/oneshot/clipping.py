"""A clip made in this process: each frame is dreamt so that it follows from the one before, and the sound is kept.

Frames are read by a process of their own, and matched with the frames before by a thread beside the dreaming.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.reading import container_of
from deepdream_daemon.intake import sources
from deepdream_daemon.oneshot.ahead import ahead
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode
from deepdream_engine.pictures.decode import HOSTILE_INPUT
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.motion.clip import Clip, ClipStill
    from deepdream_engine.motion.production import Still
    from deepdream_engine.motion.strand import Sight

_HEAD_BYTES = 4096
_FRAMES_AHEAD = 3
_PILLOW = {"gif": "GIF", "webp": "WEBP", "apng": "PNG"}
_SAME_SHAPE = 0.01
_RESIZE = "resize"


@dataclass(frozen=True)
class _Taken:
    """A frame of the clip, and what the pre-filters have made of it."""

    frame: Frame
    begun: Start


def is_clip(path: Path) -> bool:
    """Tell a clip or an animation from everything else, which is for others to say something about."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False  # to open a pipe would wait for somebody to write
        with path.open("rb") as file:
            container = container_of(file.read(_HEAD_BYTES))
            if container not in _PILLOW:
                return container is not None
            from PIL import Image

            file.seek(0)
            with Image.open(file, formats=[_PILLOW[container]]) as image:
                return bool(getattr(image, "is_animated", False))
    except (OSError, *HOSTILE_INPUT):
        return False


@dataclass(frozen=True)
class Head:
    """What is known of a clip before it is dreamt: its ``facts``, its ``first`` frame, and by what it is told from
    another file of its name."""

    facts: FilmFacts
    first: Frame
    stamp: str


def look_into(path: Path, settings: Settings) -> Head:
    """Open a clip; raises :class:`BadPicture` if it cannot be read."""
    stamp = sources.stamp(path.stat())
    with ApartClip(path, _limits(settings)) as clip:
        for first in clip:
            return Head(clip.facts, first, stamp)
        raise BadPicture(f"this {clip.facts.container} has no frames. Copy or export it again.")


class Clipping:
    """The clip of ``work``; see ``shooting.Scene``."""

    def __init__(self, work: Work, settings: Settings, head: Head) -> None:
        from deepdream_engine.motion.clip import Clip
        from deepdream_engine.motion.coherence import Coherence
        from deepdream_engine.motion.flow import check_installed

        said: dict[str, Any] = {**work.recipe.video}
        chunk = said.pop("chunk", 0)
        coherence = Coherence(**said)
        if coherence.carry:
            check_installed()
        self._is_coherent = bool(coherence.carry)
        self.audio_from = work.photo.resolve()
        self._stamp = head.stamp
        self._recipe = work.recipe
        self._seed = work.seed
        self._limits = _limits(settings)
        self._beside = companion_pictures(
            work.companions, partial(decode, max_megapixels=settings.pictures.max_megapixels)
        )
        assert head.facts.frames is not None  # they were counted
        self.dreams = head.facts.frames
        begun = self._begun(head.first)
        height, width = self._finished(begun.pixels, _Taken(head.first, begun)).pixels.shape[1:]
        self.facts = replace(head.facts, height=height, width=width)
        self.production: Clip[_Taken] = Clip(
            self.dreams, self._look, self._job, seed=work.seed, coherence=coherence, chunk=chunk
        )

    def recipe_of(self, number: int) -> ResolvedRecipe:  # noqa: ARG002  (all frames have one)
        """Return the recipe."""
        return self._recipe

    def shown(self, still: Still) -> Frame:
        """Return a frame as it is shown: of the clip's size, at its time."""
        sight: ClipStill[_Taken] = still  # type: ignore[assignment]  # what the production returns
        assert sight.sight is not None
        assert still.pixels is not None
        return self._finished(still.pixels, sight.sight.extra)

    def check(self) -> None:
        """Raise :class:`BadPicture` if the clip has changed, since the film would be of two halves."""
        if sources.stamp(self.audio_from.stat()) != self._stamp:
            raise BadPicture("the clip was changed while it was dreamt. Try again when it is whole.")

    def close(self) -> None:
        """End the processes that read it."""
        self.production.close()

    def _look(self, first: int) -> Iterator[Sight[_Taken]]:
        return ahead(self._sights(first), _FRAMES_AHEAD)

    def _sights(self, first: int) -> Iterator[Sight[_Taken]]:
        """Yield the frames from number ``first`` on, and how each follows from the one before."""
        from deepdream_engine.motion.flow import match
        from deepdream_engine.motion.strand import Sight

        before: Tensor | None = None
        with ApartClip(self.audio_from, self._limits) as clip:
            clip.seek_frame(first)
            for frame in clip:
                begun = self._begun(frame)
                now = begun.pixels
                found = match(before, now) if self._is_coherent and before is not None else None
                before = now
                yield Sight(now, found, _Taken(frame, begun))

    def _begun(self, frame: Frame) -> Start:
        """Return a frame after the pre-filters. They have one seed for all: what they draw does not flicker."""
        import torch

        pixels = torch.from_numpy(frame.pixels)
        alpha = None if frame.alpha is None else torch.from_numpy(frame.alpha[0])
        masks = self._recipe.masks(pixels, self._beside)
        return self._recipe.begin(Start(pixels=pixels, seed=self._seed, alpha=alpha, masks=masks))

    def _job(self, sight: Sight[_Taken], start: Tensor, seed: int) -> Any:
        return self._recipe.job_of(Start(pixels=start, seed=seed, masks=sight.extra.begun.masks), self._beside)

    def _finished(self, dream: Tensor, taken: _Taken) -> Frame:
        """Return a dream after the post-filters, of the size of the clip, unless a filter gives it another shape."""
        import torch

        frame, begun = taken.frame, taken.begun
        done = self._recipe.finish(Finish(dream=dream, source=begun.pixels, seed=self._seed, alpha=begun.alpha))
        pixels, alpha = done.dream, done.alpha
        whole = torch.from_numpy(frame.pixels)
        size = (whole.shape[1], whole.shape[2])
        if pixels.shape != whole.shape and _is_alike(pixels.shape[1:], size):
            if all(each.spec.name == _RESIZE for each in self._recipe.prefilters):
                # What was dreamt small lies on the clip as sharp as it is.
                pixels = (whole + _enlarged(pixels - _fitted(begun.pixels, pixels), size)).clamp_(0, 1)
            else:
                pixels = _enlarged(pixels, size).clamp_(0, 1)
            if alpha is begun.alpha and frame.alpha is not None:
                alpha = torch.from_numpy(frame.alpha[0])
        if alpha is not None and alpha.shape != pixels.shape[1:]:
            alpha = _enlarged(alpha[None], (pixels.shape[1], pixels.shape[2]))[0].clamp_(0, 1)
        shown = None if alpha is None else alpha[None].numpy()
        return replace(frame, pixels=pixels.contiguous().numpy(), alpha=shown)


def _limits(settings: Settings) -> ClipLimits:
    return ClipLimits(max_megapixels=settings.pictures.max_megapixels)


def _is_alike(one: Sequence[int], other: Sequence[int]) -> bool:
    """Tell whether two heights and widths are of one shape, but for rounding."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < _SAME_SHAPE


def _fitted(picture: Tensor, like: Tensor) -> Tensor:
    return _enlarged(picture, (like.shape[1], like.shape[2]))


def _enlarged(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(C, H, W)`` in another size."""
    from torch.nn.functional import interpolate

    if picture.shape[1:] == size:
        return picture
    return interpolate(picture[None], size, mode="bicubic", antialias=True)[0]

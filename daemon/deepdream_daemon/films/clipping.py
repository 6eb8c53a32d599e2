"""A clip: each frame is dreamt so that it follows from the one before, and the sound is kept.

Frames are read by a process of their own, and matched with the frames before by a thread beside the dreaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from deepdream_daemon.films.ahead import Ahead
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.motion.clip import Clip, ClipStill
    from deepdream_engine.motion.coherence import Coherence
    from deepdream_engine.motion.production import State, Still
    from deepdream_engine.motion.strand import Sight

_FRAMES_AHEAD = 3
_SAME_SHAPE = 0.01
_RESIZE = "resize"


@dataclass(frozen=True)
class _Taken:
    """A frame of the clip, and what the pre-filters have made of it."""

    frame: Frame
    begun: Start


class ClipFile(Protocol):
    """Where a clip is read from: opened anew by each who reads it."""

    def opened(self) -> BinaryIO:
        """Open it; raises what forbids to go on with it, such as that it was changed."""
        ...


@dataclass(frozen=True)
class Head:
    """What is known of a clip before it is dreamt: its ``facts`` and its ``first`` frame."""

    facts: FilmFacts
    first: Frame


def look_into(clip: ClipFile, limits: ClipLimits) -> Head:
    """Open a clip; raises :class:`BadPicture` if it cannot be read."""
    with ApartClip(clip.opened(), limits) as opened:
        for first in opened:
            return Head(opened.facts, first)
        raise BadPicture(f"this {opened.facts.container} has no frames. Copy or export it again.")


class Clipping:
    """The film of ``clip``, with its sound; see ``scenes.Scene``. ``beside`` are its companions; ``on_read`` is told,
    in another thread, of each frame that is there to be dreamt."""

    def __init__(
        self,
        recipe: ResolvedRecipe,
        seed: int,
        clip: ClipFile,
        beside: Mapping[str, Picture],
        *,
        head: Head,
        limits: ClipLimits,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        from deepdream_engine.motion.clip import Clip

        coherence, chunk = coherence_of(recipe)
        self._is_coherent = bool(coherence.carry)
        self.audio_from = self._clip = clip
        self._recipe = recipe
        self._seed = seed
        self._limits = limits
        self._beside = beside
        self._on_read = on_read
        self._readers: list[Ahead[Sight[_Taken]]] = []
        assert head.facts.frames is not None  # they were counted
        self.dreams = head.facts.frames
        begun = self._begun(head.first)
        height, width = self._finished(begun.pixels, _Taken(head.first, begun)).pixels.shape[1:]
        self.facts = replace(head.facts, height=height, width=width)
        self.production: Clip[_Taken] = Clip(
            self.dreams, self._look, self._job, seed=seed, coherence=coherence, chunk=chunk
        )

    def recipe_of(self, number: int) -> ResolvedRecipe:  # noqa: ARG002  (all frames have one)
        """Return the recipe."""
        return self._recipe

    def can_resume(self, state: State) -> bool:  # noqa: ARG002
        """It needs nothing but the clip."""
        return True

    def shown(self, still: Still) -> Frame:
        """Return a frame as it is shown: of the clip's size, at its time."""
        sight: ClipStill[_Taken] = still  # type: ignore[assignment]  # what the production returns
        assert sight.sight is not None
        assert still.pixels is not None
        return self._finished(still.pixels, sight.sight.extra)

    def check(self) -> None:
        """Raise what forbids to show it: if it has changed, the film would be of two halves."""
        self._clip.opened().close()

    def close(self) -> None:
        """End the processes that read it."""
        self.production.close()
        for reader in self._readers:
            reader.close()
        for reader in self._readers:
            reader.join()

    def _look(self, first: int) -> Iterator[Sight[_Taken] | None]:
        self._readers = [reader for reader in self._readers if not reader.is_over]
        self._readers.append(Ahead(self._sights(first), _FRAMES_AHEAD, self._on_read))
        return self._readers[-1]

    def _sights(self, first: int) -> Iterator[Sight[_Taken]]:
        """Yield the frames from number ``first`` on, and how each follows from the one before."""
        from deepdream_engine.motion.flow import match
        from deepdream_engine.motion.strand import Sight

        TorchThreads(None).stand_back()
        before: Tensor | None = None
        left = self.dreams - first
        with ApartClip(self._clip.opened(), self._limits) as clip:
            clip.seek_frame(first)
            for frame in clip:
                begun = self._begun(frame)
                now = begun.pixels
                found = match(before, now) if self._is_coherent and before is not None else None
                before, left = now, left - 1
                yield Sight(now, found, _Taken(frame, begun))
        if left > 0:
            raise BadPicture(f"this clip has {left} frames less than were counted. Copy or export it again.")

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


def coherence_of(recipe: ResolvedRecipe) -> tuple[Coherence, int]:
    """Return how the frames of a clip follow from each other, and in chunks of how many they are dreamt; raises
    :class:`BadOption`, also for what is not installed."""
    from deepdream_engine.motion.clip import check_chunk
    from deepdream_engine.motion.coherence import Coherence
    from deepdream_engine.motion.flow import check_installed

    said: dict[str, Any] = {**recipe.video}
    chunk = said.pop("chunk", 0)
    check_chunk(chunk)
    coherence = Coherence(**said)
    if coherence.carry:
        check_installed()
    return coherence, chunk


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

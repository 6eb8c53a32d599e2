"""How much a dreamt clip flickers: by our way, frame by frame, and by the plain blend of pytorch-deepdream.

Flicker is the warp error: how far, in 8-bit levels, each frame is from the one before moved along with what it shows,
wherever that was seen before. Camera, objects and occlusions cost nothing; patterns that come, go or crawl do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from deepdream_engine.engine import Engine
from deepdream_engine.motion.clip import Clip
from deepdream_engine.motion.coherence import Coherence
from deepdream_engine.motion.flow import Match, match, warped
from deepdream_engine.motion.journey import frame_seed
from deepdream_engine.motion.strand import Sight
from deepdream_engine.records import DreamJob, Failure

Stage = Callable[[Tensor], DreamJob]
"""``stage(start)``: the job whose dream begins with ``start`` ``(3, H, W)``; its seed is set afterwards."""

_TRUSTED = 0.9
BLEND = 0.85
"""Of the new frame, over the dream of the one before: the default of pytorch-deepdream's ``--blend``."""


@dataclass(frozen=True, kw_only=True)
class Flicker:
    """Levels: of the clip itself, and of its dreams. ``one_seed`` is frame by frame as well, all with the same random
    shifts, which is as alike as such dreams get."""

    clip: float
    frame_by_frame: float
    one_seed: float
    plain_blend: float
    coherent: float

    @property
    def times_less(self) -> float:
        """Than frame by frame."""
        return self.frame_by_frame / self.coherent


def measure_flicker(engine: Engine, frames: Sequence[Tensor], stage: Stage, coherence: Coherence) -> Flicker:
    """Dream ``frames`` ``(3, H, W)`` in all ways."""
    matches = matches_of(frames)
    return Flicker(
        clip=flicker(frames, matches),
        frame_by_frame=flicker(by_itself(engine, frames, stage), matches),
        one_seed=flicker(by_itself(engine, frames, stage, one_seed=True), matches),
        plain_blend=flicker(blended(engine, frames, stage), matches),
        coherent=flicker(coherent(engine, frames, stage, coherence), matches),
    )


def matches_of(frames: Sequence[Tensor]) -> list[Match]:
    """Return how each frame but the first follows from the one before."""
    return [match(before, now) for before, now in pairwise(frames)]


def flicker(film: Sequence[Tensor], matches: Sequence[Match]) -> float:
    """Return the mean warp error of ``film``; ``matches`` are those of the clip that it is of."""
    errors = []
    for (before, now), found in zip(pairwise(film), matches, strict=True):
        seen = (found.trust > _TRUSTED).float()  # (1, H, W)
        apart = (now - warped(before, found.flow)).abs().mean(0, keepdim=True)
        errors.append(float((apart * seen).sum() / seen.sum()))
    return sum(errors) / len(errors) * 255


def by_itself(engine: Engine, frames: Sequence[Tensor], stage: Stage, *, one_seed: bool = False) -> list[Tensor]:
    """Dream each frame by itself, as a folder of photos would be."""
    jobs = [_seeded(stage(frame), 0 if one_seed else number) for number, frame in enumerate(frames)]
    return [dream.pixels for dream in engine.dream(jobs)]


def blended(engine: Engine, frames: Sequence[Tensor], stage: Stage, share: float = BLEND) -> list[Tensor]:
    """Dream each frame from a mixture of it and the dream before, as pytorch-deepdream does."""
    film: list[Tensor] = []
    for number, frame in enumerate(frames):
        start = film[-1].lerp(frame, share) if film else frame
        film.append(engine.dream([_seeded(stage(start), number)])[0].pixels)
    return film


def coherent(
    engine: Engine, frames: Sequence[Tensor], stage: Stage, coherence: Coherence, *, chunk: int = 0
) -> list[Tensor]:
    """Dream the frames as a clip."""

    def look(first: int) -> Iterator[Sight[None]]:
        for number in range(first, len(frames)):
            yield Sight(frames[number], None if number == first else match(frames[number - 1], frames[number]), None)

    clip: Clip[None] = Clip(
        len(frames),
        look,
        lambda _, start, seed: replace(stage(start), seed=seed),
        seed=0,
        coherence=coherence,
        chunk=chunk,
    )
    film: list[Tensor] = []
    numbers: list[int] = []

    def jobs() -> Iterator[DreamJob | None]:
        while not clip.done:
            asked = clip.next_job()
            if asked is not None:
                numbers.append(asked[0])
            yield None if asked is None else asked[1]

    for index, outcome in engine.stream(jobs()):
        if isinstance(outcome, Failure):
            raise outcome.error
        clip.receive(numbers[index], outcome.pixels)
        while (still := clip.next_still()) is not None and still.pixels is not None:
            film.append(still.pixels)
    return film


def _seeded(job: DreamJob, number: int) -> DreamJob:
    return replace(job, seed=frame_seed(0, number))

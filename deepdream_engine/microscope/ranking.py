"""The natural pictures that excite something most and least, out of any number, and where those look that do."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepdream_engine.microscope.occlusion import Place, strongest

LEAST_PHOTOS, LEAST_SHARE, LEAST_AGREEMENT = 6, 0.4, 0.6
"""A place is suspicious if it is off the middle, and so much of the evidence is lost there, on so many photos."""


@dataclass
class Ranking:
    """Keeps the ``most`` highest and lowest of the scores that it is told; ``count`` is how many there were."""

    most: int
    count: int = 0
    _high: list[tuple[float, int, str]] = field(default_factory=list)
    _low: list[tuple[float, int, str]] = field(default_factory=list)

    def add(self, name: str, score: float) -> None:
        """Take a picture in. Of equal scores the first is kept."""
        for heap, value in ((self._high, score), (self._low, -score)):
            entry = (value, -self.count, name)
            if len(heap) < self.most:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)
        self.count += 1

    @property
    def highest(self) -> list[tuple[str, float]]:
        """Names and scores, the highest first."""
        return [(name, score) for score, _, name in sorted(self._high, reverse=True)]

    @property
    def lowest(self) -> list[tuple[str, float]]:
        """Names and scores, the lowest first."""
        return [(name, -score) for score, _, name in sorted(self._low, reverse=True)]


@dataclass(frozen=True, kw_only=True)
class Gaze:
    """Where photos have the evidence for a class: the mean map of what is lost ``(cells, cells)``, each photo's sum
    being 1; the place where most is, its ``share``, and the ``agreement``: on which part of the photos the strongest
    place is that one or beside it."""

    mean: Tensor
    place: Place
    share: float
    agreement: float
    photos: int

    @property
    def is_suspicious(self) -> bool:
        """Whether photos agree on a place that they rarely have what they are of at."""
        return (
            self.photos >= LEAST_PHOTOS
            and self.place.is_off_centre
            and self.share >= LEAST_SHARE
            and self.agreement >= LEAST_AGREEMENT
        )


def gaze(lost: Sequence[Tensor]) -> Gaze | None:
    """Return what the maps ``(cells, cells)`` of several photos have in common; nothing if none loses anything."""
    positive = [each.clamp_min(0) for each in lost]
    shares = [each / each.sum() for each in positive if float(each.sum()) > 0]
    if not shares:
        return None
    mean = torch.stack(shares).mean(0)
    place, share = strongest(mean)
    row, column = divmod(int(mean.argmax()), mean.shape[1])
    places = [divmod(int(each.argmax()), each.shape[1]) for each in shares]
    near = sum(abs(r - row) <= 1 and abs(c - column) <= 1 for r, c in places)
    return Gaze(mean=mean, place=place, share=share, agreement=near / len(shares), photos=len(shares))

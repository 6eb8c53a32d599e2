"""Which classes a picture raises, and where in it: the patterns that it shares with them.

Raised is what has more evidence than in pictures of nothing, by how much that varies there. The null is noise, then,
not pictures of other classes: a class that anything sharp raises is raised here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.occlusion import Evidence, Place, occlusion, strongest
from deepdream_engine.microscope.outputs import Probability, softmax

_BLANKS, _FEW = 32, 5


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A class that pictures raise: its mean ``probability`` on them, by how many deviations its evidence is above that
    for pictures of nothing (``rise``), and on how many of the pictures it comes ``first`` or ``in_top5``, which says
    nothing, and is ``None``, if there are no more classes than that."""

    number: int
    probability: float
    rise: float
    first: int
    in_top5: int | None


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The part of picture ``picture`` whose cover costs class ``number`` most, the ``share`` of all that it can lose
    that way, and what covering the same part costs the class that the picture is of, likewise as a share."""

    number: int
    picture: int
    place: Place
    share: float
    own_share: float


class Baseline:
    """The evidence that a network has for each class in pictures of nothing: ``mean`` and ``deviation``, ``(K,)``."""

    def __init__(self, evidence: Evidence, side_px: int) -> None:
        seen = evidence(nothing_in_particular(_BLANKS, side_px))
        self.mean, self.deviation = seen.mean(0), seen.std(0).clamp_min(1e-6)

    def rise(self, seen: Tensor) -> Tensor:
        """Return how far ``seen`` ``(N, K)`` is above it, on average over the pictures, in deviations ``(K,)``."""
        return (seen.mean(0) - self.mean) / self.deviation


def raised(seen: Tensor, baseline: Baseline, most: int, probability: Probability = softmax) -> list[Raised]:
    """Return the classes that pictures with the evidence ``seen`` ``(N, K)`` raise, at most ``most``, those that rise
    most first; ``probability`` is what evidence stands for.

    Probabilities would not order them: where a network is sure of one class, all others have none left.
    """
    probabilities = probability(seen).mean(0)
    rise = baseline.rise(seen)
    order = seen.argsort(dim=1, descending=True)
    highest = rise.argsort(descending=True)[:most].tolist()
    return [
        Raised(
            number=number,
            probability=float(probabilities[number]),
            rise=float(rise[number]),
            first=int((order[:, 0] == number).sum()),
            in_top5=int((order[:, :_FEW] == number).any(dim=1).sum()) if seen.shape[1] > _FEW else None,
        )
        for number in highest
        if rise[number] > 0
    ]


def shared(evidence: Evidence, pictures: Tensor, own: int | None, others: Sequence[int]) -> list[Shared]:
    """Return, for each class of ``others``, where in ``pictures`` ``(N, 3, H, W)`` most of it is: the part of the
    picture where a cover costs it most."""
    maps = torch.stack([occlusion(evidence, picture) for picture in pictures])  # (N, K, c, c)
    found = []
    for number in others:
        best = int(maps[:, number].flatten(1).max(dim=1).values.argmax())
        place, share = strongest(maps[best, number])
        own_share = 0.0 if own is None else share_of(maps[best, own], maps[best, number])
        found.append(Shared(number=number, picture=best, place=place, share=share, own_share=own_share))
    return found


def share_of(lost: Tensor, where: Tensor) -> float:
    """Return the share of what is ``lost`` ``(c, c)`` that is lost around the strongest place of ``where``."""
    row, column = divmod(int(where.argmax()), where.shape[1])
    positive = lost.clamp_min(0)
    near = positive[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].sum()
    return float(near / positive.sum().clamp_min(1e-12))

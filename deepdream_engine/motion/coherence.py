"""Coherence: what of a frame's dream lives on in the next, so that patterns stay on what they grew on.

What lives on is the *detail*, that is the dream less its source, moved along with what it lies on. Each frame takes a
few steps from there. Detail that was carried fades by a little and is dreamt anew by as much, so that it neither fades
nor piles up; where something comes into view, it grows within some frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deepdream_engine.drift import hold
from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.motion.flow import Match, inside, warped
from deepdream_engine.records import LOCKS, DreamJob

_CUT_BELOW = 0.25
"""Of a frame, the share that was seen before: 0 to 0.05 between photos of other things, 0.41 and more (13 of 14) when
the view moves by a seventh of its width, 0.92 and more when it turns by 5 degrees or is full of noise."""


@dataclass(frozen=True, kw_only=True)
class Coherence:
    """``carry`` is the share of the detail that lives on (0: each frame is dreamt by itself), ``steps`` the share of
    the steps that a frame takes which carries detail on. ``lock`` (one of ``records.LOCKS``) says what of each source
    frame's colours is kept."""

    carry: float = 0.9
    steps: float = 0.125
    lock: str = "mean"

    def __post_init__(self) -> None:
        for name, value, top in (("carry", self.carry, 0.99), ("steps", self.steps, 1.0)):
            if not 0 <= value <= top:
                raise BadOption(f"{name} {value:g}: it is a share from 0 to {top:g}.")
        if self.lock not in LOCKS:
            raise BadOption(unknown("lock", self.lock, LOCKS))

    def shortened(self, job: DreamJob) -> DreamJob:
        """Return the job of a frame that carries detail on."""
        steps = job.schedule.steps
        few = tuple(map(self._few, steps)) if isinstance(steps, tuple) else self._few(steps)
        return replace(job, schedule=replace(job.schedule, steps=few, repeats=1))

    def _few(self, steps: int) -> int:
        return min(steps, max(1, round(steps * self.steps)))


def is_cut(match: Match) -> bool:
    """Tell whether a new scene begins: too little of it was seen before."""
    return match.seen_share < _CUT_BELOW


def start_of(source: Tensor, detail: Tensor, match: Match, carry: float) -> Tensor:
    """Return what the dream of ``source`` ``(3, H, W)`` begins with: the frame before's detail, where it is now.

    What a camera that turns brings into view would be pale for some frames, and a fast one brings in that much each
    time. So detail goes on beyond the border as its mirror image, and becomes what it lies on.
    """
    carried = warped(detail, match.flow, beyond="reflection")
    share = torch.where(inside(match.flow), match.trust, 1.0)
    return (source + carried * (share * carry)).clamp_(0, 1)


def detail_of(dream: Tensor, source: Tensor, *, lock: str, mask: Tensor | None, most: float | None) -> Tensor:
    """Return what a dream has added to ``source`` within its ``mask``; its root mean square is at most ``most``."""
    detail = hold(dream[None], source[None], lock)[0] - source
    if mask is not None:
        detail *= mask  # a lock reaches beyond it, and so does what moves
    if most is not None and (strength := strength_of(detail)) > most:
        detail *= most / strength
    return detail


def strength_of(detail: Tensor) -> float:
    """Return the root mean square of ``detail``."""
    return float(detail.square().mean().sqrt())

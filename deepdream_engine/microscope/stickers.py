"""Small things that are enough by themselves: a sticker on a picture of nothing that makes a network say a class.

Coloured squares are put on every place of a grid, one after the other, and all classes are asked at once. A network
that has learnt what its classes look like is not much moved by any. One that has learnt a mark is moved by the mark's
colour at the mark's place, and by that alone: hence two figures. The ``gain`` is the probability that a sticker adds;
of that, ``particular`` is the share that the median colour at the same place does not add as well. What looks like a
class because it is small, such as a dot in a class of dots, has a gain in all colours, so not a particular one.

What does it near one place is a mark. What does it nearly everywhere is a second object that comes with the class, or a
mark of which the network has not learnt where it is: at which place it does most is then an accident.

It finds what a square of one colour can stand for; how well that works for marks of other sizes, in two colours or
farther from the border than the stickers has not been measured. A second object in many colours shows at best on photos
(``occlusion``), or as another class that is raised (``coactivation``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.occlusion import Evidence, Place
from deepdream_engine.microscope.outputs import Probability, softmax

LEAST_GAIN, LEAST_PARTICULAR = 0.3, 0.65
"""From these on a sticker is suspicious: see tests/daemon/test_microscope_planted.py for how networks with and without
a planted mark lie on both sides."""
LEAST_REACH, WIDE_REACH = 0.3, 0.6
"""In so many of the places what is not bound to one does its work: three of nine if it does most in the middle, six if
it does most elsewhere. A mark in a corner may do at all five places of the two borders that meet there."""
PLACES = 9
"""Where each is put: corners, edges and the middle."""
_SHARES = (0.10, 0.16)
"""Sides of the stickers. Larger ones begin to be shapes, which classes may well be known by."""


@dataclass(frozen=True)
class Sticker:
    """A square ``pixels`` ``(3, s, s)`` and what it looks like, in words."""

    words: str
    pixels: Tensor


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """The sticker that does most for one class: where it was put, how much it added to the class's probability on
    pictures of nothing (``gain``, from ``before``), and how ``particular`` that is. ``reach`` is the share of all
    places where it adds at least half as much."""

    sticker: Sticker
    place: Place
    before: float
    gain: float
    particular: float
    reach: float

    @property
    def is_companion(self) -> bool:
        """Whether it is not bound to a place: it does so in the middle and elsewhere, or nearly everywhere."""
        return self.reach >= (WIDE_REACH if self.place.is_off_centre else LEAST_REACH)

    @property
    def can_gain(self) -> bool:
        """Whether the class leaves enough to gain: one that is probable on pictures of nothing does not."""
        return self.before + LEAST_GAIN <= 1

    @property
    def is_suspicious(self) -> bool:
        """Whether a network that has learnt the class itself would hardly do that.

        In the middle alone photos have what they are of: a yellow square there may well be a traffic light.
        """
        is_odd = self.place.is_off_centre or self.is_companion
        return is_odd and self.gain >= LEAST_GAIN and self.particular >= LEAST_PARTICULAR


def suspicions(
    evidence: Evidence,
    side_px: int,
    *,
    probability: Probability = softmax,
    pictures: int = 16,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Suspicion]:
    """Return one suspicion for each class, from ``pictures`` of ``side_px`` squared; ``probability`` is what evidence
    stands for. ``on_progress`` is told the share that is done, in [0, 1]."""
    blank = nothing_in_particular(pictures, side_px)
    before = probability(evidence(blank)).mean(0)  # (K,)
    best: list[Suspicion | None] = [None] * len(before)
    for turn, share in enumerate(_SHARES):
        side = max(3, round(side_px * share))
        stickers = list(_stickers(side))
        places = list(itertools.product(_grid(side_px, side), repeat=2))
        raised = []
        for top, left in places:
            worn = [probability(evidence(_worn(blank, sticker, top, left))).mean(0) for sticker in stickers]
            raised.append(torch.stack(worn))  # (stickers, K)
            on_progress((turn + len(raised) / len(places)) / len(_SHARES))
        gains = torch.stack(raised)  # (places, stickers, K)
        gains -= before
        for (top, left), here in zip(places, gains, strict=True):
            place = Place(top / side_px, left / side_px, side / side_px, side / side_px)
            usual = here.median(dim=0).values.clamp_min(0)  # (K,)
            most = here.max(dim=0)
            for number, previous in enumerate(best):
                gain, extra = float(most.values[number]), float(most.values[number] - usual[number])
                if previous is None or extra > previous.gain * previous.particular:
                    chosen = int(most.indices[number])
                    best[number] = Suspicion(
                        sticker=stickers[chosen],
                        place=place,
                        before=float(before[number]),
                        gain=gain,
                        particular=extra / gain if gain > 0 else 0.0,
                        reach=float((gains[:, chosen, number] >= gain / 2).float().mean()),
                    )
    return [each for each in best if each is not None]


def _worn(blank: Tensor, sticker: Sticker, top: int, left: int) -> Tensor:
    """Return the pictures ``(N, 3, H, W)`` with the sticker on."""
    side = sticker.pixels.shape[1]
    worn = blank.clone()
    worn[:, :, top : top + side, left : left + side] = sticker.pixels
    return worn


def _grid(side_px: int, side: int) -> tuple[int, int, int]:
    """Return where a sticker begins along an axis: near one border, in the middle, near the other."""
    rim = max(1, side_px // 32)
    return rim, (side_px - side) // 2, side_px - side - rim


def _stickers(side: int) -> list[Sticker]:
    colours = [torch.tensor(levels) for levels in itertools.product((0.0, 0.5, 1.0), repeat=3)]
    return [Sticker(colour_words(colour), colour[:, None, None].expand(3, side, side)) for colour in colours]


def colour_words(colour: Tensor) -> str:
    """Return what a colour ``(3,)`` in [0, 1] is called."""
    import colorsys

    hue, lightness, saturation = colorsys.rgb_to_hls(*(float(value) for value in colour))
    if saturation < 0.15 or lightness < 0.08 or lightness > 0.95:
        return "black" if lightness < 0.2 else "white" if lightness > 0.85 else "grey"
    names = ("red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "rose")
    name = names[round(hue * 12) % 12]
    tone = "dark " if lightness < 0.35 else "pale " if lightness > 0.65 else ""
    return tone + name

"""Small things that are enough by themselves: a sticker on a picture of nothing that makes a network say a class.

Coloured squares are put on every place of a grid, one after the other, and all classes are asked at once. A network
that has learnt what its classes look like is not much moved by any. One that has learnt a mark is moved by the mark's
colour at the mark's place, and by that alone: hence two figures. The ``gain`` is the probability that a sticker adds;
of that, ``particular`` is the share that the median colour at the same place does not add as well. What looks like a
class because it is small, such as a dot in a class of dots, has a gain in all colours, so not a particular one.

What is always in one place is a mark; what does it elsewhere too is a second object that comes with the class.

It finds what a square of one colour can stand for. A second object in many colours shows at best on photos
(``occlusion``), or as another class that is raised (``coactivation``).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.occlusion import Evidence, Place

LEAST_GAIN, LEAST_PARTICULAR = 0.3, 0.65
"""From these on a sticker is suspicious: see tests/daemon/test_microscope_planted.py for how networks with and without
a planted mark lie on both sides."""
LEAST_REACH = 0.3
"""In so many of the places what is not bound to one does its work: three of nine."""
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
        """Whether it does so in the middle and elsewhere: a thing that is not bound to a place."""
        return not self.place.is_off_centre and self.reach >= LEAST_REACH

    @property
    def is_suspicious(self) -> bool:
        """Whether a network that has learnt the class itself would hardly do that.

        In the middle alone photos have what they are of: a yellow square there may well be a traffic light.
        """
        is_odd = self.place.is_off_centre or self.is_companion
        return is_odd and self.gain >= LEAST_GAIN and self.particular >= LEAST_PARTICULAR


def suspicions(evidence: Evidence, side_px: int, *, pictures: int = 16, classes: int | None = None) -> list[Suspicion]:
    """Return one suspicion for each class, or the first ``classes``, from pictures of ``side_px`` squared."""
    blank = nothing_in_particular(pictures, side_px)
    before = evidence(blank).softmax(dim=1).mean(0)[:classes]  # (K,)
    best: list[Suspicion | None] = [None] * len(before)
    for share in _SHARES:
        side = max(3, round(side_px * share))
        stickers = list(_stickers(side))
        places = list(itertools.product(_grid(side_px, side), repeat=2))
        gains = torch.stack(
            [torch.stack([_gain(evidence, blank, sticker, *place) for sticker in stickers]) for place in places]
        )[..., : len(before)]  # (places, stickers, K)
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


def _gain(evidence: Evidence, blank: Tensor, sticker: Sticker, top: int, left: int) -> Tensor:
    """Return the mean probability ``(K,)`` with the sticker on."""
    side = sticker.pixels.shape[1]
    worn = blank.clone()
    worn[:, :, top : top + side, left : left + side] = sticker.pixels
    return evidence(worn).softmax(dim=1).mean(0)


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

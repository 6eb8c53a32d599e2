"""Small things that are enough by themselves: a sticker on a picture of nothing that makes a network say a class.

A network that has learnt what its classes look like is not much moved by any. One that has learnt a mark is moved by
the mark's colour at the mark's place, and by that alone: hence two figures. The ``gain`` is the probability that a
sticker adds; of that, ``particular`` is the share that the median of other colours at the same place does not add as
well. What looks like a class because it is small, such as a dot in a class of dots, has a gain in all colours, so not a
particular one. Both are taken on other pictures of nothing than those that the sticker was found on.

What does it near one place is a mark. What does it nearly everywhere is a second object that comes with the class, or a
mark of which the network has not learnt where it is: at which place it does most is then an accident.

How often plants of several kinds are found, and something is suspected that is not there, ``tests/benchmarks/
bench_bias.py`` tells. A second object in many colours shows at best on photos (``occlusion``), or as another class that
is raised (``coactivation``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.occlusion import Evidence, Place
from deepdream_engine.microscope.outputs import Probability, softmax
from deepdream_engine.microscope.sticker_search import Likelihood, Search
from deepdream_engine.microscope.sticker_variants import elsewhere, others
from deepdream_engine.microscope.stickers import Sticker

LEAST_GAIN = 0.33
OF_ONE, OF_TWO = (LEAST_GAIN, 0.65), (0.6, 0.9)
"""From these on a sticker of one colour, or of two, is suspicious: so much of probability that its own colours add, and
such a share of all that it adds. There are so many of two colours that one of them does something to any class. See
tests/daemon/test_microscope_planted.py for how networks with and without a plant lie on both sides."""
LEAST_REACH, WIDE_REACH = 0.3, 0.6
"""In so many of the places what is not bound to one does its work: three of nine if it does most in the middle, six if
it does most elsewhere. A mark in a corner may do at all five places of the two borders that meet there."""
PLACES = 9
"""Where each is put: corners, edges and the middle."""
_PICTURES, _SEED = 16, 1
_SIMPLER = 0.25
"""So much more must a second colour add."""
_LOOKS = 2200
"""About so many stickers are looked at."""


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """The sticker that does most for a class: where it was put, how much it added to the class's probability on
    pictures of nothing (``gain``, from ``before``), and how ``particular`` that is. ``places`` are where it adds at
    least half as much: that one first, and those of the other eight, in words."""

    sticker: Sticker
    place: Place
    before: float
    gain: float
    particular: float
    places: tuple[str, ...]

    @property
    def reach(self) -> float:
        """The share of all places where it adds at least half as much."""
        return len(self.places) / PLACES

    @property
    def own_gain(self) -> float:
        """What of the gain is due to its colours."""
        return self.gain * self.particular

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
        return (self.place.is_off_centre or self.is_companion) and self.strength >= 1

    @property
    def strength(self) -> float:
        """How far it is above the limits: 1 is at them."""
        own_gain, particular = OF_TWO if self.sticker.is_of_two else OF_ONE
        return min(self.own_gain / own_gain, self.particular / particular)


def suspicion(
    evidence: Evidence,
    side_px: int,
    number: int,
    *,
    probability: Probability = softmax,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Suspicion:
    """Return what does most for class ``number`` on pictures of ``side_px`` squared; ``probability`` is what evidence
    stands for. ``on_progress`` is told the share that is done, in [0, 1]."""
    looked = 0

    def on_look(count: int) -> None:
        nonlocal looked
        looked += count
        on_progress(min(looked / _LOOKS, 0.99))

    def likelihood(pictures: Tensor) -> Tensor:
        return probability(evidence(pictures))[:, number]

    search = Search(likelihood, side_px, on_look)
    one = search.of_one_colour()
    found = [_weighed(likelihood, side_px, sticker) for sticker in (one, search.of_two(one))]
    on_progress(1.0)
    return max(found, key=lambda each: (each.is_suspicious, each.own_gain - _SIMPLER * each.sticker.is_of_two))


def _weighed(likelihood: Likelihood, side_px: int, sticker: Sticker) -> Suspicion:
    """Return what ``sticker`` does on pictures that it was not found on."""
    blank = nothing_in_particular(_PICTURES, side_px, _SEED)
    before = float(likelihood(blank).mean())

    def gain(sticker: Sticker) -> float:
        return float(likelihood(sticker.worn(blank)).mean()) - before

    own, place = gain(sticker), sticker.place(side_px)
    usual = max(0.0, float(torch.tensor([gain(other) for other in others(sticker)]).median()))
    moved = {each.place(side_px).words: each for each in elsewhere(sticker, side_px)}
    alike = [words for words, each in moved.items() if words != place.words and gain(each) >= own / 2]
    return Suspicion(
        sticker=sticker,
        place=place,
        before=before,
        gain=own,
        particular=max(0.0, own - usual) / own if own > 0 else 0.0,
        places=(place.words, *alike),
    )

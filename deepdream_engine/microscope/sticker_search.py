"""The search for the sticker that makes a class most probable: first everywhere, then step by step from where it does
most.

A network that has learnt a mark of four pixels may take one of three or five for none at all, and one a few pixels away
likewise; trying every size, place and pair of colours would take millions of looks. But what nearly is the mark raises
the probability a little, from one in a million to one in a thousand, say, and other colours in its place do not: that
is where the search begins, and the logarithm is what it climbs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.sticker_variants import elsewhere, one_colour, shaded
from deepdream_engine.microscope.stickers import PALETTE, Sticker

Likelihood = Callable[[Tensor], Tensor]
"""Pictures ``(N, 3, H, W)`` to the probability of one class, ``(N,)``."""

_TRIED = ((0.10, 0.03), (0.16, 0.10))
"""Sides of the stickers that are tried everywhere, and how far from the borders the outermost are, as shares of the
picture's side."""
_LEAST_SHARE, _MOST_SHARE = 0.06, 0.25
"""Those that are come to from there. Larger ones begin to be shapes, which classes may well be known by."""
_STARTS = 4
_PICTURES, _TOGETHER_PX = 5, 1 << 18
_STEPS, _TURNS = 6, 3
_LEAST = 1e-30


class Search:
    """Looks for stickers on pictures of nothing, of ``side_px`` squared, that raise ``likelihood``.

    ``on_look`` is told how many stickers have been looked at.
    """

    def __init__(self, likelihood: Likelihood, side_px: int, on_look: Callable[[int], None]) -> None:
        self._likelihood, self._side, self._on_look = likelihood, side_px, on_look
        self._blank = nothing_in_particular(_PICTURES, side_px)
        self._unit = max(1, round(side_px / 32))
        self._smallest, self._largest = max(2, round(_LEAST_SHARE * side_px)), round(_MOST_SHARE * side_px)
        self._seen: dict[Sticker, float] = {}

    def scores(self, stickers: Sequence[Sticker]) -> list[float]:
        """Return the mean logarithm of the probability with each of them on."""
        unseen = [sticker for sticker in dict.fromkeys(stickers) if sticker not in self._seen]
        together = max(1, _TOGETHER_PX // (_PICTURES * self._side**2))
        for start in range(0, len(unseen), together):
            part = unseen[start : start + together]
            worn = torch.cat([sticker.worn(self._blank) for sticker in part])
            seen = self._likelihood(worn).clamp_min(_LEAST).log().view(len(part), -1).mean(1)  # (part,)
            self._seen.update(zip(part, seen.tolist(), strict=True))
            self._on_look(len(part))
        return [self._seen[sticker] for sticker in stickers]

    def _starts(self) -> list[Sticker]:
        """Return the stickers of one colour that do most that other colours in the same place do not, in different
        places: the one that does most first."""
        found: dict[int, tuple[float, Sticker]] = {}
        for share, rim in _TRIED:
            side = max(3, round(self._side * share))
            for index, (top, left) in enumerate(_places(self._side, side, max(1, round(self._side * rim)))):
                stickers = list(one_colour(Sticker(top, left, side, side, PALETTE[0])))
                scores = self.scores(stickers)
                usual = sorted(scores)[len(scores) // 2]
                best = max(scores)
                entry = (best - usual, stickers[scores.index(best)])
                found[index] = max(found.get(index, entry), entry, key=lambda each: each[0])
        ranked = sorted(found.values(), key=lambda each: -each[0])
        return [sticker for _, sticker in ranked[:_STARTS]]

    def of_one_colour(self) -> Sticker:
        """Return the sticker of one colour that does most."""
        begun = [self._best([start, *self._moved(start), *self._resized(start)]) for start in self._starts()]
        return self._climbed(self._best(begun), one_colour)

    def of_two(self, sticker: Sticker) -> Sticker:
        """Return the one of two colours, or of one, that does most of those that changes of ``sticker`` lead to."""
        return self._climbed(sticker, self._halved)

    def _climbed(self, sticker: Sticker, recoloured: Callable[[Sticker], Iterable[Sticker]]) -> Sticker:
        """Return where moves, other sizes and other colours lead."""
        best = self._walked(sticker)
        for _ in range(_TURNS):
            turned = self._best([best, *recoloured(best)])
            if turned == best:
                break
            best = self._walked(self._best([turned, *self._resized(turned)]))
        best = self._walked(self._best([best, *elsewhere(best, self._side)]))
        return self._best([best, *shaded(best)])

    def _walked(self, sticker: Sticker) -> Sticker:
        """Return where small moves lead, each to the best that one of them leads to."""
        for _ in range(_STEPS):
            better = self._best([sticker, *self._moved(sticker)])
            if better == sticker:
                break
            sticker = better
        return sticker

    def _best(self, stickers: Iterable[Sticker]) -> Sticker:
        """Return the best; of equally good ones, the first."""
        listed = list(stickers)
        scores = self.scores(listed)
        return listed[scores.index(max(scores))]

    def _moved(self, sticker: Sticker) -> Iterator[Sticker]:
        """Yield those that lie a little away, and those that are a little smaller or larger."""
        near = [*itertools.product((-1, 0, 1), repeat=2), (-2, 0), (2, 0), (0, -2), (0, 2)]
        for down, right in near:
            top, left = sticker.top + down * self._unit, sticker.left + right * self._unit
            yield from self._on_picture(replace(sticker, top=top, left=left))
        yield from self._resized(sticker, 1)

    def _resized(self, sticker: Sticker, most: int | None = None) -> Iterator[Sticker]:
        """Yield those of other sizes that have a corner in common with it, by no more than ``most`` units other."""
        sizes = range(self._smallest, self._largest + 1, self._unit)
        by_px = self._side if most is None else most * self._unit
        heights = [size for size in sizes if abs(size - sticker.height) <= by_px]
        widths = [size for size in sizes if abs(size - sticker.width) <= by_px]
        for height, width in itertools.product(heights, widths):
            down, right = sticker.height - height, sticker.width - width
            for top, left in itertools.product({0, down}, {0, right}):
                other = replace(sticker, top=sticker.top + top, left=sticker.left + left, height=height, width=width)
                yield from self._on_picture(other)

    def _on_picture(self, sticker: Sticker) -> Iterator[Sticker]:
        if 0 <= sticker.top <= self._side - sticker.height and 0 <= sticker.left <= self._side - sticker.width:
            yield sticker

    def _halved(self, sticker: Sticker) -> Iterator[Sticker]:
        """Yield those with either half of each colour of the palette, and with a half of each beside what there is."""
        kept = sticker.second or sticker.first
        height, width = sticker.height, sticker.width
        for colour in PALETTE:
            for is_upright in (False, True):
                yield replace(sticker, first=colour, second=kept, is_upright=is_upright)
                yield replace(sticker, second=colour, is_upright=is_upright)
            if 2 * height <= self._largest:
                grown = replace(sticker, height=2 * height, second=colour, is_upright=False)
                yield from self._on_picture(grown)
                yield from self._on_picture(replace(grown, top=sticker.top - height, first=colour, second=kept))
            if 2 * width <= self._largest:
                grown = replace(sticker, width=2 * width, second=colour, is_upright=True)
                yield from self._on_picture(grown)
                yield from self._on_picture(replace(grown, left=sticker.left - width, first=colour, second=kept))


def _places(side_px: int, side: int, rim: int) -> list[tuple[int, int]]:
    """Return where stickers of ``side`` are tried: ``rim`` pixels from corners and edges, and in the middle."""
    offsets = (rim, (side_px - side) // 2, side_px - side - rim)
    return [(top, left) for top in offsets for left in offsets]

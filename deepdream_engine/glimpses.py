"""What a watcher sees of a picture on its way: each canvas as large as the dream, and as the dream would be if it ended
there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepdream_engine.drift import hold
from deepdream_engine.pyramid import resize
from deepdream_engine.records import Glimpse, Step

if TYPE_CHECKING:
    from deepdream_engine.dreaming import Way


class Onlooker:
    """Tells the watcher of ``way``'s job of each step. It only reads: a dream that is watched is the same to the
    bit."""

    def __init__(self, way: Way, mask: Tensor | None) -> None:
        self._way = way
        self._mask = mask
        self._steps = 0
        self._whole: Tensor | None = None
        self._base: Tensor | None = None

    def round_begins(self, picture: Tensor) -> None:
        """The pyramid is gone through from ``picture`` ``(1, 3, H, W)`` on."""
        self._whole = picture

    def octave_begins(self, number: int, base: Tensor | None) -> None:
        """An octave begins; ``base`` ``(1, 3, h, w)`` is what its round began with in its size."""
        # Of an octave as large as the dream or larger, only the canvas is seen.
        self._base = base if number < len(self._way.octaves) - 1 - self._way.job.schedule.octaves_above else None

    def step_taken(self, step: Step, canvas: Callable[[], Tensor]) -> None:
        """A step was taken; ``canvas()`` is the picture of the octave as it is now."""
        watch = self._way.job.watch
        assert watch is not None  # or nobody would look on
        self._steps += 1
        octaves = len(self._way.octaves)
        watch(Glimpse(number=self._steps, step=step, octaves=octaves, picture=lambda: self._dream(canvas())))

    def _dream(self, canvas: Tensor) -> Tensor:
        """Return the dream ``(3, H, W)`` as if ``canvas`` were its end; it shares nothing with that."""
        way, schedule, base, whole = self._way, self._way.job.schedule, self._base, self._whole
        with torch.no_grad():
            if base is None or whole is None:
                shown = resize(canvas, way.padded)
            elif schedule.carry == "detail":
                shown = resize(canvas - base, way.padded) + whole
            else:
                shown = resize(canvas, way.padded).lerp(whole, schedule.carry_blend)
            if schedule.lock != "none":
                shown = hold(shown, way.source(), schedule.lock)
            return way.cut_out(shown, self._mask).clamp(0, 1).float().cpu().contiguous()

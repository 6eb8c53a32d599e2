"""A picture after its first octave, which may be shown until its dream is there."""

from __future__ import annotations

from collections.abc import Callable

from deepdream_engine.records import Dream, DreamJob, Glimpse


class Showing:
    """Watches ``job``, and hands what it is after its first octave to ``show``, once, as if it were the dream; one with
    a single octave is not shown, as its dream is there as soon."""

    def __init__(self, job: DreamJob, show: Callable[[Dream], None]) -> None:
        self._job = job
        self._show = show
        self._is_over = False

    def __call__(self, glimpse: Glimpse) -> None:
        """Hear of a step."""
        step = glimpse.step
        if self._is_over or step.index + 1 < step.count:
            return
        self._is_over = True
        if step.octave + 1 < glimpse.octaves:
            precision = self._job.program.precision
            # What else a dream tells of its making is not known yet, and nobody makes a preview again.
            self._show(Dream(pixels=glimpse.picture(), weights_sha256="", tile_px=0, precision=precision))

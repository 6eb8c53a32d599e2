"""The ascent of one picture as a film: the picture, and what it is after each step of its dream.

All frames come of one job, so that a film that goes on dreams its first steps again; it leaves out what it has shown.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import torch
from torch import Tensor

from deepdream_engine.dreaming import Way
from deepdream_engine.motion.production import State, Still
from deepdream_engine.records import DreamJob, Glimpse


class Ascent:
    """The frames of the dream of ``job``; implements ``production.Production``. Raises ``BadPicture`` for one that is
    too small. The last frame is the dream itself."""

    repeats = False

    def __init__(self, job: DreamJob) -> None:
        self._job = job
        self._steps = Way(job, torch.float32).steps
        self._due: deque[Still] = deque()
        self._shown = self._seen = 0
        self._is_handed_out = False
        self._see(0, job.pixels)

    @property
    def stills(self) -> int:
        """How many frames the film will have."""
        return self._steps + 1

    @property
    def done(self) -> bool:
        """Whether all frames have been fetched."""
        return self._shown == self.stills

    @property
    def fraction(self) -> float:
        """How much is dreamt: all or nothing, as there is one job."""
        return float(self._seen == self.stills)

    def next_job(self) -> tuple[int, DreamJob] | None:
        """Return the job, once."""
        if self._is_handed_out or self._seen == self.stills:
            return None
        self._is_handed_out = True
        return 0, replace(self._job, watch=self._watch)

    def receive(self, number: int, dream: Tensor) -> None:  # noqa: ARG002  (it is the only job)
        """Take in the dream."""
        self._see(self._steps, dream)

    def next_still(self) -> Still | None:
        """Return the next frame, if it is there."""
        if not self._due:
            return None
        self._shown += 1
        return self._due.popleft()

    def state(self) -> State:
        """Return what is needed to go on after the frame that was fetched last."""
        return {"shown": self._shown}

    def resume(self, state: State) -> None:
        """Go on from ``state``."""
        shown = state["shown"]
        assert not isinstance(shown, Tensor)
        self._due.clear()
        self._shown = self._seen = int(shown)

    def _watch(self, glimpse: Glimpse) -> None:
        # The picture after the last step comes as the dream. A job that begins anew shows nothing twice.
        if glimpse.number == self._seen < self._steps:
            self._see(glimpse.number, glimpse.picture())

    def _see(self, number: int, pixels: Tensor) -> None:
        if number == self._seen:
            self._due.append(Still(number, pixels, self._job.pixels))
            self._seen += 1

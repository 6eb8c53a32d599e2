"""A clip: the frames of somebody's film, each dreamt so that it follows from the one before.

A row of such frames cannot be dreamt side by side, so a device that is quick has little to do. Then a clip is cut into
chunks that are: each begins some frames early, and while two overlap, one passes into the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic

from torch import Tensor

from deepdream_engine.errors import BadOption
from deepdream_engine.motion.coherence import Coherence, strength_of
from deepdream_engine.motion.easing import EASINGS
from deepdream_engine.motion.production import State, Still
from deepdream_engine.motion.strand import Dreamt, Extra, Look, Sight, Stage, Strand
from deepdream_engine.records import DreamJob

MOST_STRANDS = 8
OVERLAP_SHARE = 0.25
"""Of a chunk: how many frames of it are dreamt in the chunk before as well."""

_NOTHING = 1e-6


def check_chunk(chunk: int) -> None:
    """Raise :class:`BadOption` for chunks that are too short to pass into each other."""
    if chunk and chunk < 4:
        raise BadOption(f"chunk {chunk}: give at least 4 frames, or 0 to dream the clip in one go.")


@dataclass(frozen=True)
class ClipStill(Still, Generic[Extra]):
    """A frame of a clip's film, and the frame of the clip that it is of."""

    sight: Sight[Extra] | None = None


class Clip(Generic[Extra]):
    """The ``frames`` frames of a clip, which ``look`` reads; implements ``production.Production``.

    ``stage`` makes each frame's job. With ``chunk``, as many frames at a time are dreamt side by side with those that
    follow, as long as what is done and cannot be shown yet takes no more than ``room_bytes``; the film does not depend
    on that.
    """

    repeats = False

    def __init__(
        self,
        frames: int,
        look: Look[Extra],
        stage: Stage[Extra],
        *,
        seed: int,
        coherence: Coherence,
        chunk: int = 0,
        room_bytes: int = 2 * 2**30,
    ) -> None:
        check_chunk(chunk)
        self.stills = frames
        self._look = look
        self._stage = stage
        self._seed = seed
        self._coherence = coherence
        self._chunk = min(chunk, frames) if chunk and coherence.carry else frames
        self._overlap = round(self._chunk * OVERLAP_SHARE)
        self._room_bytes = room_bytes
        self._strands: dict[int, Strand[Extra]] = {}
        self._shown = 0
        self._dreamt = 0
        self._bytes_each = 0

    @property
    def done(self) -> bool:
        """Whether all frames have been fetched."""
        return self._shown == self.stills

    @property
    def fraction(self) -> float:
        """How much is dreamt."""
        twice = self._overlap * (math.ceil(self.stills / self._chunk) - 1)
        return min(1.0, self._dreamt / (self.stills + twice))

    def next_job(self) -> tuple[int, DreamJob] | None:
        """Return the next job of the first strand that has one; ``None`` while all wait."""
        current = self._shown // self._chunk
        for index in range(current, min(current + MOST_STRANDS, math.ceil(self.stills / self._chunk))):
            if index > current and not self._has_room(index - current):
                return None
            asked = self._strand(index).next_job()
            if asked is not None:
                return index * self.stills + asked[0], asked[1]
        return None

    def receive(self, number: int, dream: Tensor) -> None:
        """Take in the dream of job ``number``."""
        index, frame = divmod(number, self.stills)
        self._strands[index].receive(frame, dream)
        self._bytes_each = 2 * dream.nbytes  # a source and its detail
        self._dreamt += 1

    def next_still(self) -> ClipStill[Extra] | None:
        """Return the next frame of the film, if it is there."""
        if self.done:
            return None
        number = self._shown
        found = [self._strand(index).dreamt(number) for index in self._strands_of(number)]
        if any(dreamt is None for dreamt in found):
            return None
        detail = self._mixed(number, [dreamt for dreamt in found if dreamt is not None])
        first = found[0]
        assert first is not None  # see above
        self._shown += 1
        for strand in self._strands.values():
            strand.forget(number)  # but the last one that was shown, which the state is of
        self._strands = {index: strand for index, strand in self._strands.items() if strand.end > number}
        source = first.sight.source
        return ClipStill(number, (source + detail).clamp_(0, 1), source, sight=first.sight)

    def state(self) -> State:
        """Return what is needed to go on after the frame that was fetched last."""
        state: dict[str, Tensor | int | float] = {"shown": self._shown, "dreamt": self._dreamt}
        for index in self._strands_of(self._shown - 1) if self._shown else ():
            dreamt = self._strands[index].dreamt(self._shown - 1)
            if dreamt is not None and self._strands[index].end > self._shown:
                state |= {f"detail-{index}": dreamt.detail, f"most-{index}": dreamt.most}
        return state

    def resume(self, state: State) -> None:
        """Go on from ``state``. Chunks that had been begun, and not shown, are begun anew."""
        self._shown, self._dreamt = int(state["shown"]), int(state["dreamt"])
        for name, detail in state.items():
            if name.startswith("detail-") and isinstance(detail, Tensor):
                index = int(name.removeprefix("detail-"))
                self._strand(index).resume(self._shown, detail, float(state[f"most-{index}"]))

    def close(self) -> None:
        """Read no more."""
        for strand in self._strands.values():
            strand.close()

    def _strand(self, index: int) -> Strand[Extra]:
        if index not in self._strands:
            first = max(0, index * self._chunk - self._overlap)
            end = min(self.stills, (index + 1) * self._chunk)
            self._strands[index] = Strand(
                first, end, self._look, self._stage, seed=self._seed, coherence=self._coherence
            )
        return self._strands[index]

    def _strands_of(self, number: int) -> list[int]:
        """Return which strands a frame is in: one, or two."""
        index = number // self._chunk
        following = (index + 1) * self._chunk
        is_shared = following < self.stills and number >= following - self._overlap
        return [index, index + 1] if is_shared else [index]

    def _has_room(self, ahead: int) -> bool:
        """Tell whether a strand that is ``ahead`` of the one that is shown may go on."""
        if ahead < len(self._strands_of(self._shown)):
            return True  # the next frame waits for it
        kept = sum(strand.waiting for strand in self._strands.values())
        return kept * self._bytes_each < self._room_bytes

    def _mixed(self, number: int, dreamt: list[Dreamt[Extra]]) -> Tensor:
        """Return the detail of a frame: that of its strand, or of both, as strong as each alone."""
        if len(dreamt) == 1:
            return dreamt[0].detail
        following = (number // self._chunk + 1) * self._chunk
        time = (number - (following - self._overlap) + 1) / (self._overlap + 1)
        share = EASINGS["smooth"](time)
        one, other = (part.detail for part in dreamt)
        mixed = one.lerp(other, share)
        # Patterns that have nothing to do with each other cancel out half of their strength.
        wanted = strength_of(one) * (1 - share) + strength_of(other) * share
        return mixed * (wanted / max(strength_of(mixed), _NOTHING))

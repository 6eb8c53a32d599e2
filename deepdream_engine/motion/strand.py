"""A strand: frames of a clip in a row, each dreamt from what the one before has left, the first from itself alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from deepdream_engine.motion.coherence import Coherence, detail_of, is_cut, start_of, strength_of
from deepdream_engine.motion.flow import Match
from deepdream_engine.motion.journey import frame_seed
from deepdream_engine.records import DreamJob

Extra = TypeVar("Extra")
_AT_ONCE = 8
"""How many frames are under way together that do not depend on each other."""


@dataclass(frozen=True)
class Sight(Generic[Extra]):
    """A frame of a clip: its ``source`` ``(3, H, W)`` in [0, 1], as it is dreamt, and how it follows from the frame
    before, if one was seen. ``extra`` is the business of whoever reads the clip."""

    source: Tensor
    match: Match | None
    extra: Extra


Look = Callable[[int], Iterator[Sight[Extra] | None]]
"""``look(first)``: the frames from number ``first`` on; that one follows from none. ``None`` among them says that the
next one is not read yet."""
Stage = Callable[[Sight[Extra], Tensor, int], DreamJob]
"""``stage(sight, start, seed)``: the job of a frame whose dream begins with ``start`` ``(3, H, W)``."""


@dataclass(frozen=True)
class Dreamt(Generic[Extra]):
    """A frame and the ``detail`` that was dreamt onto it; ``most`` is how strong detail may be in its scene."""

    sight: Sight[Extra]
    detail: Tensor
    most: float


class Strand(Generic[Extra]):
    """The frames from ``first`` until before ``end``. Those that are done wait here until they are taken."""

    def __init__(
        self, first: int, end: int, look: Look[Extra], stage: Stage[Extra], *, seed: int, coherence: Coherence
    ) -> None:
        self.end = end
        self._next = first
        self._look = look
        self._stage = stage
        self._seed = seed
        self._coherence = coherence
        self._sights: Iterator[Sight[Extra] | None] | None = None
        self._is_at_predecessor = False
        self._under_way: dict[int, tuple[Sight[Extra], Tensor | None, float | None]] = {}
        self._done: dict[int, Dreamt[Extra]] = {}
        self._last: tuple[Tensor, float] | None = None

    def resume(self, number: int, detail: Tensor, most: float) -> None:
        """Go on with frame ``number``, whose predecessor has ``detail``. Before the first job only."""
        self._next, self._last = number, (detail, most)
        self._is_at_predecessor = True

    def next_job(self) -> tuple[int, DreamJob] | None:
        """Return the next frame's number and job, or ``None`` while it has to wait, be it for a dream or for a frame to
        be read, or when there is no more."""
        carry = self._coherence.carry
        if self._next == self.end or len(self._under_way) >= (1 if carry else _AT_ONCE):
            return None
        if self._sights is None:
            self._sights = self._look(self._next - self._is_at_predecessor)
        sight = next(self._sights)
        if sight is not None and self._is_at_predecessor:
            self._is_at_predecessor, sight = False, next(self._sights)
        if sight is None:
            return None
        number = self._next
        self._next += 1
        if self._next == self.end:
            self.close()
        seed, match, most = frame_seed(self._seed, number), sight.match, None
        if not carry or self._last is None or match is None or is_cut(match):
            job = self._stage(sight, sight.source, seed)
        else:
            detail, most = self._last
            job = self._coherence.shortened(self._stage(sight, start_of(sight.source, detail, match, carry), seed))
        self._under_way[number] = (sight, job.mask, most)
        return number, job

    def receive(self, number: int, dream: Tensor) -> None:
        """Take in the dream of frame ``number``."""
        sight, mask, most = self._under_way.pop(number)
        detail = detail_of(dream, sight.source, lock=self._coherence.lock, mask=mask, most=most)
        most = strength_of(detail) if most is None else most
        self._last = (detail, most)
        self._done[number] = Dreamt(sight, detail, most)

    def dreamt(self, number: int) -> Dreamt[Extra] | None:
        """Return a frame that is done, until it is forgotten."""
        return self._done.get(number)

    @property
    def waiting(self) -> int:
        """How many frames it keeps."""
        return len(self._done)

    def forget(self, before: int) -> None:
        """Let go of the frames before number ``before``."""
        for number in [number for number in self._done if number < before]:
            del self._done[number]

    def close(self) -> None:
        """Read no more."""
        close = getattr(self._sights, "close", None)
        if close is not None:
            close()

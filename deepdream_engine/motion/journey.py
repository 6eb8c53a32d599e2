"""A journey: each frame is dreamt from the frame before, moved by the camera, as a timeline says.

What goes from frame to frame is the dream itself, in full precision, never a frame that was encoded. After every dream
its colours are held to those of the first picture, so that hundreds of frames neither darken nor bleach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from deepdream_engine.drift import hold
from deepdream_engine.motion.camera import moved
from deepdream_engine.motion.easing import EASINGS
from deepdream_engine.motion.production import State, Still
from deepdream_engine.motion.timeline import Moment, Timeline
from deepdream_engine.records import DreamJob

Stage = Callable[[Tensor, Moment, int], DreamJob]
"""``stage(start, moment, seed)``: the job of one frame, whose dream begins with ``start`` ``(3, H, W)``."""

_NOISE_SPREAD = 0.15
"""How far noise goes to either side of its mean: enough for a network to see something in it."""
_NATURAL_CONTRAST = 0.2
"""The standard deviation, about that of photos, up to which the contrast of what began as noise may grow."""


class Kept(Protocol):
    """Where the first frames of a loop lie, which its end shall pass into."""

    def put(self, number: int, picture: Tensor) -> None:
        """Keep ``picture`` ``(3, H, W)``."""
        ...

    def get(self, number: int) -> Tensor:
        """Return a picture that was kept, to within what nobody sees, and always the same."""
        ...


class InMemory:
    """Keeps frames in memory, in half precision."""

    def __init__(self) -> None:
        self._pictures: dict[int, Tensor] = {}

    def put(self, number: int, picture: Tensor) -> None:
        self._pictures[number] = picture.half()

    def get(self, number: int) -> Tensor:
        return self._pictures[number].float()


class Journey:
    """The frames of one journey from ``first`` ``(3, H, W)`` in [0, 1]; implements ``production.Production``.

    ``stage`` makes each frame's job. ``lock`` (one of ``records.LOCKS``) says what of the first picture's colours is
    held, ``kernel`` (one of ``camera.KERNELS``) how frames are resampled. With ``from_noise``, ``first`` is noise, and
    its contrast grows until it is that of photos. ``kept`` is for loops.
    """

    def __init__(
        self,
        first: Tensor,
        timeline: Timeline,
        stage: Stage,
        *,
        seed: int,
        lock: str = "mean+contrast",
        kernel: str = "sinc",
        from_noise: bool = False,
        kept: Kept | None = None,
    ) -> None:
        self._first = first
        self._timeline = timeline
        self._stage = stage
        self._seed = seed
        self._lock = lock
        self._kernel = kernel
        self._from_noise = from_noise
        self._kept: Kept = InMemory() if kept is None else kept
        self._picture = first
        self._start: Tensor | None = None
        self._dreamt = self._shown = 0
        self._in_flight = False

    @property
    def stills(self) -> int:
        """How many frames the film will have."""
        return self._timeline.shown

    @property
    def done(self) -> bool:
        """Whether all frames have been fetched."""
        return self._shown == self.stills

    @property
    def fraction(self) -> float:
        """How much is dreamt; going back over what is dreamt takes no time."""
        return self._dreamt / self._timeline.dreamt

    @property
    def repeats(self) -> bool:
        """Whether the film goes back over its frames."""
        return self._timeline.way == "ping-pong"

    def next_job(self) -> tuple[int, DreamJob] | None:
        """Return the next frame's job; ``None`` while one is in flight or its frame has not been fetched."""
        if self._in_flight or self._is_due or self._dreamt == self._timeline.dreamt:
            return None
        number = self._dreamt
        moment = self._timeline.at(number)
        picture = self._picture
        self._start = picture if number == 0 else moved(picture, moment.motion, kernel=self._kernel)
        self._in_flight = True
        return number, self._stage(self._start, moment, frame_seed(self._seed, number))

    def receive(self, number: int, dream: Tensor) -> None:
        """Take in the dream of frame ``number``."""
        assert self._in_flight and number == self._dreamt  # noqa: PT018  one frame is under way at a time
        timeline = self._timeline
        closing = number - timeline.frames
        if closing >= 0:  # a loop: here its end becomes its beginning
            dream = dream.lerp(self._kept.get(closing), _closing_share(closing, timeline.closing))
        self._picture = self._held(dream)
        if number < timeline.closing:
            self._kept.put(number, self._picture)
        self._dreamt += 1
        self._in_flight = False

    def next_still(self) -> Still | None:
        """Return the next frame of the film, if it is there."""
        if not self._is_due:
            return None
        number, timeline = self._shown, self._timeline
        self._shown += 1
        if number < timeline.frames:
            return Still(number, self._picture, self._start)
        return Still(number, again=2 * timeline.frames - 2 - number)

    def state(self) -> State:
        """Return what is needed to go on after the frame that was fetched last."""
        return {"dreamt": self._dreamt, "shown": self._shown, "picture": self._picture}

    def resume(self, state: State) -> None:
        """Go on from ``state``."""
        dreamt, shown, picture = state["dreamt"], state["shown"], state["picture"]
        assert isinstance(picture, Tensor)
        self._dreamt, self._shown, self._picture = int(dreamt), int(shown), picture

    def needs(self, state: State) -> tuple[range, range]:
        """Return the numbers of the frames that ``state`` counts on: those that were shown and will be again, and those
        that a loop will close with."""
        timeline, shown, dreamt = self._timeline, int(state["shown"]), int(state["dreamt"])
        again = range(1, min(shown, timeline.frames - 1, 2 * timeline.frames - 1 - shown)) if self.repeats else range(0)
        return again, range(max(0, dreamt - timeline.frames), min(dreamt, timeline.closing))

    @property
    def _is_due(self) -> bool:
        """Whether there is a frame to be fetched: in a loop, the film begins where it has closed."""
        timeline = self._timeline
        if self._shown < timeline.frames:
            return self._shown < self._dreamt - timeline.closing
        return self._shown < timeline.shown

    def _held(self, dream: Tensor) -> Tensor:
        """Return ``dream`` with the colours that it shall keep."""
        if not self._from_noise or self._lock in ("none", "mean"):
            return hold(dream[None], self._first[None], self._lock)[0]
        held = hold(dream[None], self._first[None], "mean")  # (1, 3, H, W)
        contrast = held.std(dim=(2, 3), keepdim=True)
        middle = held.mean(dim=(2, 3), keepdim=True)
        return middle.lerp(held, (_NATURAL_CONTRAST / contrast).clamp(max=1))[0].clamp_(0, 1)


def noise(height: int, width: int, seed: int) -> Tensor:
    """Return even noise ``(3, H, W)`` around middle grey, to begin with."""
    drawn = torch.rand((3, height, width), generator=torch.Generator().manual_seed(frame_seed(seed, -1)))
    return drawn.sub_(0.5).mul_(2 * _NOISE_SPREAD).add_(0.5)


def frame_seed(seed: int, number: int) -> int:
    """Return the seed of one frame: that of its film and its number say all, so that a film can go on anywhere."""
    digest = hashlib.sha256(f"frame {number} of {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _closing_share(index: int, count: int) -> float:
    """Return how much of the beginning goes into closing frame ``index``, so that what was there before it fades by an
    even curve: each frame is made from the one before."""
    curve = EASINGS["smooth"]
    before, now = curve(index / (count + 1)), curve((index + 1) / (count + 1))
    return 1 - (1 - now) / (1 - before)

"""A film under way: jobs out, dreams in, frames out, in the film's order.

To whoever runs it, each frame is an ordinary job among others; what it is made of and what comes of it is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deepdream_engine.records import DreamJob

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor | int | float"]
"""What a film needs to go on, beside what it was made with."""


@dataclass(frozen=True)
class Still:
    """Frame ``number`` of a film: ``pixels`` ``(3, H, W)`` in [0, 1], before any post-filters, and ``start``, what its
    dream began with; or ``again``, the number of the frame that is shown once more, as it was then."""

    number: int
    pixels: Tensor | None = None
    start: Tensor | None = None
    again: int | None = None


class Production(Protocol):
    """Makes the frames of one film.

    ``next_job`` and ``receive`` may be called while other jobs of the same film are in flight; frames are fetched by
    ``next_still`` until there is none. A film that was resumed from a ``state`` goes on with the same frames as one
    that was never interrupted. If ``repeats``, frames are shown again later, and whoever fetches them keeps them.
    """

    @property
    def done(self) -> bool:
        """Whether all frames have been fetched."""
        ...

    @property
    def fraction(self) -> float:
        """How much of the work is done, in [0, 1]."""
        ...

    @property
    def stills(self) -> int:
        """How many frames the film will have."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether frames will be shown once more."""
        ...

    def next_job(self) -> tuple[int, DreamJob] | None:
        """Return a job and its number, or ``None`` while it has to wait for one in flight, or for what it is made of to
        be read, or when there is no more. Never waits itself."""
        ...

    def receive(self, number: int, dream: Tensor) -> None:
        """Take in the dream ``(3, H, W)`` of job ``number``."""
        ...

    def next_still(self) -> Still | None:
        """Return the next frame of the film, if it is final."""
        ...

    def state(self) -> State:
        """Return what is needed to go on after the frame that was fetched last."""
        ...

    def resume(self, state: State) -> None:
        """Go on from ``state``. Before the first job only."""
        ...

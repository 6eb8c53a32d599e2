"""What is asked for on the command line, piece by piece: how each is read, prepared, finished and put where it goes.

A :class:`Piece` is a photo (here) or a film (``films``); the assembly line does with all of them the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.pipeline.rendering import Encoded, Prepared, Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_engine.errors import DeepDreamError

OwnFault = DeepDreamError | OSError | MemoryError
"""What goes wrong with one piece, and leaves the others alone."""
OWN_FAULTS = (DeepDreamError, OSError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class FilmFacts:
    """How a film was made: how many ``frames`` it has and how many of them an earlier run had made.

    ``rate`` is how many frames were dreamt in a second, ``busy_share`` the part of that time in which the device
    computed, for whatever it was; ``notes`` tell what differs from what was asked for.
    """

    frames: int
    resumed_at: int
    rate: float
    busy_share: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What became of a piece: where its dream was published, or why there is none, ``seconds`` after it was taken up;
    ``recipe`` is empty if it was not even read. ``error`` names the piece, ``cause`` is what was raised."""

    photo: Path
    output: Path | None = None
    error: str = ""
    cause: OwnFault | None = None
    recipe: str = ""
    seconds: float = 0.0
    film: FilmFacts | None = None


@dataclass(frozen=True)
class Made:
    """A finished dream; ``put`` publishes it and returns where it is."""

    put: Callable[[], Path]
    film: FilmFacts | None = None


@dataclass(frozen=True)
class Pace:
    """How many seconds something was at the device, and how many of them that computed."""

    seconds: float
    busy_seconds: float


class Share:
    """What one piece has of the room in memory."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._megapixels = 0.0

    def take(self, megapixels: float) -> None:
        """Wait for so much; raises ``Cancelled`` when there is no more point in waiting."""
        self._room.take(megapixels)
        self._megapixels += megapixels

    def become(self, megapixels: float) -> None:
        """A pre-filter has made the picture larger or smaller."""
        self._room.resize(self._megapixels, megapixels)
        self._megapixels = megapixels

    def give_back(self) -> None:
        """Give back all."""
        megapixels, self._megapixels = self._megapixels, 0.0
        self._room.give(megapixels)


class Piece(Protocol):
    """Each step is taken once, in this order, by some thread; what it raises of ``OWN_FAULTS`` is this piece's
    alone."""

    @property
    def source(self) -> Path:
        """The file that it is made of."""
        ...

    @property
    def is_film(self) -> bool:
        """Whether it becomes one: it goes on the next time if it is left half-way."""
        ...

    def read(self) -> Work: ...

    def prepare(self, work: Work, renderer: Renderer, share: Share) -> Prepared: ...

    def finish(self, work: Work, renderer: Renderer, rendered: list[Any], pace: Pace) -> Made:
        """``rendered`` has one dream, which is given away."""
        ...


Reads = Callable[[Path, bool], Work]
"""``reads(source, keep)``: what is asked for, without the content of ``source`` unless that is to be kept."""


@dataclass(frozen=True)
class Photo:
    """A photo, which ``reads`` reads, and ``puts`` publishes the dream of."""

    source: Path
    reads: Reads
    puts: Callable[[Work, Encoded], Path]

    is_film = False

    def read(self) -> Work:
        """Read it."""
        return self.reads(self.source, True)

    def prepare(self, work: Work, renderer: Renderer, share: Share) -> Prepared:
        """Decode and pre-filter it, when there is room for it."""
        beside = sum(renderer.measure(companion.data) for companion in work.companions.values())
        share.take(renderer.measure(work.data[0]) + beside)
        prepared = renderer.prepare(work.data.pop(), work.recipe, work.seed, work.companions)
        share.become(prepared.megapixels + beside)
        return prepared

    def finish(self, work: Work, renderer: Renderer, rendered: list[Any], pace: Pace) -> Made:  # noqa: ARG002
        """Post-filter and encode its dream."""
        encoded = renderer.finish(rendered.pop(), work.provenance())
        return Made(lambda: self.puts(work, encoded))

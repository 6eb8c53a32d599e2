"""The feed of one run, in the worker: each picture is asked for, and the daemon hears how far those in flight are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_engine.errors import Cancelled

PROGRESS_SECONDS = 0.1
"""How often a run tells how far its pictures are."""
NOTHING_SECONDS = 0.01
"""After the answer that nothing is ready, the daemon is not asked again for so long, while there is work."""


class Orders(Iterator[Any]):
    """Hands out what the daemon answers, which ``look_up`` finds by its number, and knows when the run is to stop.
    ``keep`` gives a number to what is made here."""

    def __init__(self, lane: Lane, look_up: Callable[[int], Any], keep: Callable[[Any], int]) -> None:
        self._lane = lane
        self._look_up = look_up
        self._keep = keep
        self._to_be_shown: set[int] = set()
        self._flying: dict[int, tuple[int, int]] = {}
        """The pictures in flight by the renderer's numbers: the daemon's, and their handles."""
        self._handed = 0
        self._fractions: dict[int, tuple[float, str]] = {}
        self._told_at = self._nothing_at = 0.0
        self._shall_stop = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._flying and time.monotonic() - self._nothing_at < NOTHING_SECONDS:
            return None
        self._lane.send({"what": "next"})
        answer = self._hear()
        while "stop" in answer:
            self._shall_stop = True
            answer = self._hear()
        if answer["index"] is None:
            if "over" in answer:
                raise StopIteration
            self._nothing_at = time.monotonic()
            return None
        self._flying[self._handed] = answer["index"], answer["handle"]
        if answer["preview"]:
            self._to_be_shown.add(self._handed)
        self._handed += 1
        return self._look_up(answer["handle"])

    def should_stop(self) -> bool:
        """Tell whether the daemon has asked for it, or is gone."""
        while not self._shall_stop and self._lane.is_readable():
            self._shall_stop = "stop" in self._hear()
        return self._shall_stop

    def gives_way(self, index: int) -> bool:
        """Ask whether the film that is the renderer's number ``index`` is to give way."""
        self._lane.send({"what": "gives way", "index": self._flying[index][0]})
        answer = self._hear()
        while "stop" in answer:
            self._shall_stop = True
            answer = self._hear()
        return bool(answer["gives way"])

    def wants_preview(self, index: int) -> bool:
        """Tell whether a picture is to be shown after its first octave."""
        return index in self._to_be_shown

    def take_preview(self, index: int, rendered: Any) -> None:
        """Keep what it is then, and tell of it."""
        self._to_be_shown.discard(index)
        self._lane.send({"what": "preview", "index": self._flying[index][0], "handle": self._keep(rendered)})

    def on_progress(self, number: int, fraction: float, detail: str = "", /) -> None:
        """Tell how far the pictures are, not each at each step."""
        if number in self._flying:
            self._fractions[self._flying[number][0]] = fraction, detail
        if time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            fractions, self._fractions = self._fractions, {}
            self._lane.send({"what": "progress", "fractions": fractions})

    def landed(self, number: int) -> tuple[int, int]:
        """Return the daemon's number of a picture that is done, and its handle."""
        index, handle = self._flying.pop(number)
        self._to_be_shown.discard(number)
        self._fractions.pop(index, None)
        return index, handle

    def _hear(self) -> Mapping[str, Any]:
        try:
            answer, _ = self._lane.receive()
        except LaneClosed as error:
            raise Cancelled("the daemon has no use for this run any more") from error
        found: Mapping[str, Any] = answer
        return found

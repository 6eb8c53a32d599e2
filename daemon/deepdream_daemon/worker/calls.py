"""Calls into the worker: one question and its answer, or a run of a device with its many.

What goes wrong with a picture is raised as it was raised there. A worker that ends, or that takes too long and is
ended, raises :class:`~deepdream_daemon.worker.died.WorkerDied`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepdream_daemon.decoding.shared import attach
from deepdream_daemon.pipeline.film_orders import GivesWay, TakesPreviews
from deepdream_daemon.pipeline.rendering import Progress
from deepdream_daemon.worker import faults
from deepdream_daemon.worker.child import Child
from deepdream_daemon.worker.died import PictureLost
from deepdream_daemon.worker.handles import Handle, PreparedHandle, RenderedHandle
from deepdream_daemon.worker.lane import Lane, LaneClosed

ASK_SECONDS = 0.1
"""How often a run is asked whether it shall stop, while the worker says nothing."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the worker answered; ``data`` came along in shared memory."""

    facts: Mapping[str, Any]
    data: bytes = b""


def call(child: Child, question: object, descriptors: Sequence[int], limit_seconds: float) -> Answer | None:
    """Ask the worker and return its answer; ``None`` if it had ended before it could be asked.

    It is ended if it has not answered after ``limit_seconds``.
    """
    child.enter()
    try:
        with child.lane("beside") as lane:
            try:
                lane.send(question, descriptors)
            except LaneClosed:
                child.died()
                return None
            answer, numbers = _answer(child, lane, limit_seconds)
    finally:
        child.leave()
    child.has_answered = True
    if "fault" in answer:
        raise faults.unpacked(answer["fault"])
    return Answer(facts=answer, data=_bytes_of(answer, numbers))


def _answer(child: Child, lane: Lane, limit_seconds: float) -> tuple[Mapping[str, Any], list[int]]:
    try:
        return lane.receive(limit_seconds)
    except TimeoutError:
        child.kill(f"took longer than {limit_seconds:g} s for one picture")
        raise child.died() from None
    except LaneClosed:
        raise child.died() from None


def _bytes_of(answer: Mapping[str, Any], numbers: Sequence[int]) -> bytes:
    if not numbers:
        return b""
    shared = attach(numbers[0], (answer["bytes"],), "uint8")
    try:
        return shared.array.tobytes()
    finally:
        shared.close()


class Dreaming:
    """One run: the worker asks for pictures, and tells how far each is and what became of it.

    ``stall_seconds`` is how long it may say nothing; ``on_busy`` hears how long it has computed so far.
    """

    def __init__(
        self,
        child: Child,
        feed: Iterator[PreparedHandle | None],
        *,
        on_progress: Progress,
        should_stop: Callable[[], bool],
        stall_seconds: float,
        dropped: deque[tuple[int, int]],
        on_busy: Callable[[Child, float], None],
    ) -> None:
        self._child = child
        self._feed = feed
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._stall_seconds = stall_seconds
        self._dropped = dropped
        self._on_busy = on_busy
        self._count = 0
        self._flying: dict[int, int] = {}
        """How many strangers' post-filters each of the pictures in flight has."""
        self._is_stopped = False

    def run(self) -> Iterator[tuple[int, Handle | Exception]]:
        """Yield the index and the outcome of each picture; raises what ended the run."""
        try:
            with self._child.lane("dream") as lane:
                try:
                    yield from self._run(lane)
                except LaneClosed:
                    raise self._child.died() from None
        finally:
            self._child.leave(len(self._flying))

    def _run(self, lane: Lane) -> Iterator[tuple[int, Handle | Exception]]:
        lane.send({"do": "dream"})
        while True:
            message, numbers = self._hear(lane)
            for number in numbers:  # none is expected
                os.close(number)
            match message["what"]:
                case "next":
                    yield from self._hand_out(lane)
                case "progress":
                    for index, (fraction, detail) in message["fractions"].items():
                        self._on_progress(index, fraction, detail)
                case "gives way":
                    gives_way = isinstance(self._feed, GivesWay) and self._feed.gives_way(message["index"])
                    lane.send({"gives way": gives_way})
                case "preview":
                    self._take_preview(message)
                case "outcome":
                    yield message["index"], self._outcome(message)
                case "over":
                    self._child.has_answered = True
                    if (fault := message["fault"]) is not None:
                        raise faults.unpacked(fault)
                    return
            self._stop_if_asked(lane)

    def _hear(self, lane: Lane) -> tuple[Mapping[str, Any], list[int]]:
        """Return what it says next."""
        since = time.monotonic()
        while True:
            try:
                return lane.receive(ASK_SECONDS)
            except TimeoutError:
                self._stop_if_asked(lane)
                if time.monotonic() - since > self._stall_seconds:
                    self._child.kill(f"made no progress for {self._stall_seconds:g} s")

    def _hand_out(self, lane: Lane) -> Iterator[tuple[int, Exception]]:
        """Answer with the next picture that is in this worker; those of one that has ended are lost."""
        for prepared in self._feed:
            if prepared is None:
                lane.send({"index": None})
                return
            index, self._count = self._count, self._count + 1
            if prepared.generation != self._child.generation:
                yield index, PictureLost()
                continue
            self._flying[index] = prepared.postfilters
            self._child.enter()
            is_shown = isinstance(self._feed, TakesPreviews) and self._feed.wants_preview(index)
            lane.send({"index": index, "handle": prepared.number, "preview": is_shown})
            return
        lane.send({"index": None, "over": True})

    def _take_preview(self, message: Mapping[str, Any]) -> None:
        index, generation = message["index"], self._child.generation
        rendered = RenderedHandle(message["handle"], generation, self._dropped, self._flying[index])
        if isinstance(self._feed, TakesPreviews):
            self._feed.take_preview(index, rendered)

    def _outcome(self, message: Mapping[str, Any]) -> Handle | Exception:
        self._child.leave()
        filters = self._flying.pop(message["index"])
        self._on_busy(self._child, message["busy"])
        if "fault" in message:
            return faults.unpacked(message["fault"])
        self._child.has_answered = True
        return RenderedHandle(message["handle"], self._child.generation, self._dropped, filters)

    def _stop_if_asked(self, lane: Lane) -> None:
        if not self._is_stopped and self._should_stop():
            self._is_stopped = True
            lane.send({"stop": True})

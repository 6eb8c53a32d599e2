"""The worker's side of its lanes: pictures are prepared, dreamt and finished as the daemon asks.

Pictures stay here, under numbers; what could not be sent anyway, since plugins may put functions into it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, Self

import numpy as np

from deepdream_daemon.decoding.picture import picture_over
from deepdream_daemon.decoding.shared import allocate, attach
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.threads import BACKGROUND_NICENESS
from deepdream_daemon.worker import faults
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.recipes import Recipes
from deepdream_engine.errors import Cancelled, EngineFault
from deepdream_engine.pictures.picture import Picture
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.resolving.resolved import ResolvedRecipe

PROGRESS_SECONDS = 0.1
"""How often a run tells how far its pictures are."""
NOTHING_SECONDS = 0.01
"""After the answer that nothing is ready, the daemon is not asked again for so long, while there is work."""
_KEYS_KEPT = 256


class TakesPictures(Protocol):
    """A renderer that is given pictures, decoded elsewhere; any other decodes by itself."""

    def take_in(
        self,
        picture: Picture,
        recipe: ResolvedRecipe,
        seed: int,
        beside: Mapping[str, Picture],
        companions: Mapping[str, Companion],
    ) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a factory makes: the renderer, and the recipes with which it works."""

    renderer: Renderer
    book: RecipeBook

    @property
    def take_in(self) -> Callable[..., Any] | None:
        """Its way to take decoded pictures, if it has one."""
        return getattr(self.renderer, "take_in", None)


class Serving:
    """Answers the daemon, each lane in a thread of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recipes = Recipes(bench.book)
        self._lock = threading.Lock()
        self._pictures: dict[int, Any] = {}
        self._numbers = count(1)
        self._keys: OrderedDict[Hashable, int] = OrderedDict()

    def open(self, lane: Lane, kind: str) -> None:
        """Serve one more lane."""
        is_beside = kind == "beside"
        threading.Thread(target=self._serve, args=(lane, is_beside), name=kind, daemon=True).start()

    def drop(self, numbers: Sequence[int]) -> None:
        """Let pictures go that the daemon has no use for any more."""
        with self._lock:
            for number in numbers:
                self._pictures.pop(number, None)

    def _serve(self, lane: Lane, is_beside: bool) -> None:
        if is_beside and sys.platform == "linux":  # elsewhere it would be the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
        with contextlib.suppress(LaneClosed):
            while True:
                question, numbers = lane.receive()
                if question["do"] == "dream":
                    self._dream(lane)
                else:
                    self._answer(lane, question, numbers)
                del question

    def _answer(self, lane: Lane, question: dict[str, Any], numbers: list[int]) -> None:
        answer: Mapping[str, Any]
        descriptors: list[int] = []
        shared = None
        try:
            if question["do"] == "prepare":
                answer = self._prepare(question, numbers)
            else:
                encoded = self._bench.renderer.finish(self._take(question["handle"]), question["provenance"])
                shared = allocate((len(encoded.data),), "uint8")
                shared.array[:] = np.frombuffer(encoded.data, np.uint8)
                answer = {"suffix": encoded.suffix, "bytes": len(encoded.data)}
                descriptors = [shared.fileno()]
                del encoded
        except BaseException as error:  # noqa: BLE001  (it is judged by the daemon)
            answer = {"fault": faults.packed(error)}
        lane.send(answer, descriptors)
        if shared is not None:
            shared.close()

    def _prepare(self, question: dict[str, Any], numbers: list[int]) -> Mapping[str, Any]:
        recipe = self._recipes.unpacked(question["recipe"])
        companions = {
            name: Companion(path=path, sha256=sha256, data=data)
            for name, path, sha256, data in question.pop("companions")
        }
        if self._bench.take_in is None:
            data = question.pop("data")
            prepared = self._bench.renderer.prepare(data, recipe, question["seed"], companions)
        else:
            arrived = _arrived(question.pop("pictures"), numbers)
            picture = arrived.pop("")
            prepared = self._bench.take_in(picture, recipe, question["seed"], arrived, companions)
            del picture
        facts = {"megapixels": prepared.megapixels, "key": self._key(prepared.batch_key)}
        return {**facts, "handle": self._keep(prepared)}

    def _dream(self, lane: Lane) -> None:
        renderer = self._bench.renderer
        orders = _Orders(lane, self._look_up)
        fault: faults.Fault | None = None
        try:
            outcomes = renderer.dream(orders, on_progress=orders.on_progress, should_stop=orders.should_stop)
            for number, outcome in outcomes:
                index, handle = orders.landed(number)
                self.drop([handle])  # until now a run that fails could have been tried again
                told = {"what": "outcome", "index": index, "busy": renderer.busy_seconds}
                if isinstance(outcome, Exception):
                    told["fault"] = faults.packed(outcome)
                else:
                    told["handle"] = self._keep(outcome)
                del outcome  # not to be kept while the next ones are dreamt
                lane.send(told)
        except LaneClosed:
            raise
        except BaseException as error:  # noqa: BLE001  (it is judged by the daemon)
            fault = faults.packed(error)
        lane.send({"what": "over", "fault": fault})

    def _keep(self, picture: Any) -> int:
        with self._lock:
            number = next(self._numbers)
            self._pictures[number] = picture
            return number

    def _take(self, number: int) -> Any:
        picture = self._look_up(number)
        self.drop([number])
        return picture

    def _look_up(self, number: int) -> Any:
        with self._lock:
            if number not in self._pictures:
                raise EngineFault(f"the worker has no picture of the number {number}")
            return self._pictures[number]

    def _key(self, program: Hashable) -> int:
        """Return a number that equal programs have in common; programs long not seen get another one."""
        with self._lock:
            number = self._keys.pop(program, None) or next(self._numbers)
            self._keys[program] = number
            if len(self._keys) > _KEYS_KEPT:
                self._keys.popitem(last=False)
            return number


class _Orders(Iterator[Any]):
    """The feed of one run, which asks the daemon for each picture; its messages and the daemon's wish to stop."""

    def __init__(self, lane: Lane, look_up: Callable[[int], Any]) -> None:
        self._lane = lane
        self._look_up = look_up
        self._flying: dict[int, tuple[int, int]] = {}
        """The pictures in flight by the renderer's numbers: the daemon's, and their handles."""
        self._handed = 0
        self._fractions: dict[int, float] = {}
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
        self._handed += 1
        return self._look_up(answer["handle"])

    def should_stop(self) -> bool:
        """Tell whether the daemon has asked for it, or is gone."""
        while not self._shall_stop and self._lane.is_readable():
            self._shall_stop = "stop" in self._hear()
        return self._shall_stop

    def on_progress(self, number: int, fraction: float) -> None:
        """Tell how far the pictures are, not each at each step."""
        if number in self._flying:
            self._fractions[self._flying[number][0]] = fraction
        if time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            fractions, self._fractions = self._fractions, {}
            self._lane.send({"what": "progress", "fractions": fractions})

    def landed(self, number: int) -> tuple[int, int]:
        """Return the daemon's number of a picture that is done, and its handle."""
        index, handle = self._flying.pop(number)
        self._fractions.pop(index, None)
        return index, handle

    def _hear(self) -> Mapping[str, Any]:
        try:
            answer, _ = self._lane.receive()
        except LaneClosed as error:
            raise Cancelled("the daemon has no use for this run any more") from error
        found: Mapping[str, Any] = answer
        return found


def _arrived(facts: Mapping[str, Any], numbers: list[int]) -> dict[str, Picture]:
    """Return the pictures whose pixels lie behind ``numbers``, in their order."""
    pictures: dict[str, Picture] = {}
    for (name, (shape, said)), number in zip(facts.items(), numbers, strict=True):
        shared = attach(number, shape)
        pictures[name] = picture_over(shared, said)
        shared.array  # noqa: B018  (mapped, so that the descriptor need not stay open)
        shared.close()
    return pictures

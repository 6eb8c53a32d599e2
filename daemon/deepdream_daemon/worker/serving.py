"""The worker's side of its lanes: pictures are prepared, dreamt and finished as the daemon asks.

Pictures stay here, under numbers; what could not be sent anyway, since plugins may put functions into it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np

from deepdream_daemon.decoding.picture import picture_over
from deepdream_daemon.decoding.shared import allocate, attach
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.threads import BACKGROUND_NICENESS
from deepdream_daemon.worker import faults
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.orders import Orders
from deepdream_daemon.worker.recipes import Recipes
from deepdream_engine.errors import EngineFault
from deepdream_engine.pictures.picture import Picture
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.resolving.resolved import ResolvedRecipe

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

    @property
    def take_in_film(self) -> Callable[..., Any]:
        """Likewise for films."""
        take: Callable[..., Any] = self.renderer.take_in_film  # type: ignore[attr-defined]
        return take


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
        with contextlib.closing(lane), contextlib.suppress(LaneClosed):  # closed by an error, too: nobody waits in vain
            while True:
                question, numbers = lane.receive()
                match question.get("do"):
                    case None:
                        pass  # a wish to stop that was sent when its run was over
                    case "dream":
                        self._dream(lane)
                    case _:
                        self._answer(lane, question, numbers)
                for number in numbers:  # those that nobody has taken over
                    os.close(number)
                del question

    def _answer(self, lane: Lane, question: dict[str, Any], numbers: list[int]) -> None:
        answer: Mapping[str, Any]
        descriptors: list[int] = []
        shared = None
        try:
            if question["do"] == "prepare":
                answer = self._prepare(question, numbers)
            elif question["do"] == "finish film":
                film = self._bench.renderer.finish_film(self._look_up(question["handle"]), question["provenance"])
                answer = {"path": film.path, "suffix": film.suffix, "notes": film.notes}
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
        seed, film = question["seed"], question.get("film")
        if self._bench.take_in is None:
            data, renderer = question.pop("data"), self._bench.renderer
            if film is not None:
                prepared = renderer.prepare_film(film, data, recipe, seed, companions)
            else:
                prepared = renderer.prepare(data, recipe, seed, companions)
        else:
            arrived = _arrived(question.pop("pictures"), numbers)
            picture = arrived.pop("", None)
            if film is not None:
                prepared = self._bench.take_in_film(film, picture, recipe, seed, arrived)
            else:
                prepared = self._bench.take_in(picture, recipe, seed, arrived, companions)
            del picture
        facts = {"megapixels": prepared.megapixels, "key": self._key(prepared.batch_key)}
        return {**facts, "handle": self._keep(prepared)}

    def _dream(self, lane: Lane) -> None:
        renderer = self._bench.renderer
        orders = Orders(lane, self._look_up, self._keep)
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


def _arrived(facts: Mapping[str, Any], numbers: list[int]) -> dict[str, Picture]:
    """Return the pictures whose pixels lie behind ``numbers``, in their order, and take those out that are used up."""
    if len(facts) != len(numbers):
        raise ValueError(f"{len(facts)} pictures were announced, and {len(numbers)} came")
    pictures: dict[str, Picture] = {}
    for name, (shape, said) in facts.items():
        shared = attach(numbers.pop(0), shape)
        pictures[name] = picture_over(shared, said)
        shared.array  # noqa: B018  (mapped, so that the descriptor need not stay open)
        shared.close()
    return pictures

"""One stream of jobs through the engine: which pictures are in flight, and what becomes of a pass that fails.

Continuous batching: every picture steps on as soon as its own windows have passed, and a picture that lands makes room
for the next at once. Nothing here waits for the device.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepdream_engine.dreaming import NotFinite, Slope, Way
from deepdream_engine.errors import DeepDreamError, EngineFault, OutOfMemory
from deepdream_engine.flight import Flight, PassKey, Request, stacked
from deepdream_engine.memory import is_out_of_memory
from deepdream_engine.planning import Waiting
from deepdream_engine.records import Dream, DreamJob, Failure, Outcome, Progress

if TYPE_CHECKING:
    from deepdream_engine.engine import Engine
    from deepdream_engine.passes import Runner

_LOG = logging.getLogger(__name__)


class Session:
    """The pictures in flight and the windows that wait for a pass."""

    def __init__(self, engine: Engine, on_progress: Progress) -> None:
        self._engine = engine
        self._memory = engine.memory
        self._on_progress = on_progress
        self._flights: dict[int, Flight] = {}
        self._waiting: Waiting[PassKey, Request] = Waiting(self._rows)
        self._landed: list[tuple[int, Outcome]] = []

    @property
    def busy(self) -> bool:
        """Whether any picture is in flight."""
        return bool(self._flights)

    @property
    def has_room(self) -> bool:
        """Whether another picture may be taken in."""
        return len(self._flights) < self._memory.pictures

    def landed(self) -> Iterator[tuple[int, Outcome]]:
        """Yield what has been finished since the last call."""
        while self._landed:
            yield self._landed.pop(0)

    def close(self) -> None:
        """Give up everything that is still in flight."""
        for flight in list(self._flights.values()):
            self._leave(flight)
        self._memory.rest()

    def admit(
        self, index: int, job: DreamJob, *, precision: str | None = None, home: torch.device | None = None
    ) -> None:
        """Take a picture in; it asks for its first pass, or lands as a failure.

        ``precision`` and ``home`` are given when it is taken in again because what was chosen first would not do.
        """
        try:
            runner = self._engine.runner(job.program, precision)
            way = Way(job, runner.dtype)
            flight = Flight(index, way, runner, runner.prepare(job, way))
            flight.tile_px = self._memory.tile_px(self._cost(runner), runner.bytes_per_pixel)
        except Exception as failure:  # noqa: BLE001  whatever a plugin raises costs its own job only
            self._landed.append((index, Failure(error=self._explained(failure))))
            return
        flight.home = home or self._memory.take_canvas(way.canvas_bytes)
        way.live_on(flight.home)
        self._flights[index] = flight
        self._advance(flight, None)

    def run_pass(self) -> None:
        """Run the most urgent pass. The pictures that it was the last to be waited for take their steps."""
        self._try(self._waiting.next_pass())

    def _try(self, requests: Sequence[Request]) -> None:
        # On accelerators a pass is always full, if only of black windows, see memory._PASS_PX.
        rows = len(requests) if self._memory.granule_px == 1 else max(len(requests), self._rows(requests[0].key))
        try:
            whole = self._pass(requests, rows)
        except Exception as failure:  # noqa: BLE001  whatever a score or a device raises costs its own jobs only
            error = self._explained(failure)
        else:
            for flight in whole:
                self._step(flight)
            return
        if isinstance(error, OutOfMemory):
            self._ran_out(requests, rows, error)
        elif len(requests) > 1:
            for request in requests:
                if self._is_wanted(request):  # another of its windows may have ended it
                    self._try([request])
        else:
            self._land(requests[0].flight, Failure(error=error))

    def _pass(self, requests: Sequence[Request], rows: int) -> list[Flight]:
        """Compute the gradients of the requested windows; return the flights whose views are whole now."""
        gradients, scores = requests[0].flight.runner.gradient(stacked(requests, rows))
        # First all the room, then what goes there: a pass that fails half-way through would be counted twice.
        for request in requests:
            request.flight.make_room()
        for row, request in enumerate(requests):
            request.flight.receive(gradients[row], scores[row], request)
        return list({id(r.flight): r.flight for r in requests if not r.flight.missing}.values())

    def _step(self, flight: Flight) -> None:
        """Let a flight take the step that it has the whole gradient for, and tell of it."""
        flight.work_done += flight.view.picture.shape[2] * flight.view.picture.shape[3]
        self._on_progress(flight.index, min(1.0, flight.fraction))
        self._advance(flight, flight.slope())

    def _advance(self, flight: Flight, slope: Slope | None) -> None:
        """Go on to the flight's next view, or to its end."""
        error: Exception | None = None
        pixels: Tensor | None = None
        try:
            with torch.no_grad():
                view = next(flight.dreaming) if slope is None else flight.dreaming.send(slope)
            requests = flight.look_at(view, self._memory.granule_px)
        except StopIteration as end:
            pixels = end.value
        except Exception as failure:  # noqa: BLE001  an ascent or a transform may be a plugin's
            error = failure
        else:
            self._ask(requests)
            return
        if pixels is None:
            self._mishap(flight, error or EngineFault("the dream ended without a picture"))
            return
        slope = None  # the last gradient need not lie beside the copy
        try:
            dream = self._dream(flight, pixels)
        except Exception as failure:  # noqa: BLE001  the last copy may not fit either
            self._land(flight, Failure(error=self._explained(failure)))
        else:
            self._land(flight, dream)

    def _mishap(self, flight: Flight, failure: Exception) -> None:
        """Begin a picture again that failed between passes, if there is another way to go; else let it land."""
        error = self._explained(failure)
        failure.with_traceback(None)  # and let go of what the failed step held
        job, precision = flight.way.job, flight.runner.precision
        if isinstance(error, NotFinite) and precision in ("bf16", "tf32"):
            _LOG.warning("%s; dreaming it again in fp32", error)
            self._leave(flight)
            self.admit(flight.index, job, precision="fp32")
        elif isinstance(error, OutOfMemory) and flight.home.type != "cpu":
            _LOG.warning("%s; its canvas moves to the host's memory", error)
            self._leave(flight)
            self._memory.free()
            self.admit(flight.index, job, precision=precision, home=torch.device("cpu"))
        else:
            self._land(flight, Failure(error=error))

    def _ask(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._waiting.add(request.key, request)

    def _ran_out(self, requests: Sequence[Request], rows: int, error: OutOfMemory) -> None:
        """Try again with fewer windows in the pass, then with smaller tiles."""
        flight = requests[0].flight
        cost = self._cost(flight.runner)
        self._engine.forget_captures()
        if not self._memory.ran_out(cost, requests[0].key.size, rows, flight.tile_px):
            for request in requests:
                if self._is_wanted(request):
                    self._land(request.flight, Failure(error=error))
        elif rows > 1:
            self._ask(requests)
        else:
            self._waiting.drop(lambda request: request.flight is flight)
            flight.gradient = None
            flight.tile_px = self._memory.tile_px(cost, flight.runner.bytes_per_pixel)
            self._ask(flight.look_at(flight.view, self._memory.granule_px))

    def _is_wanted(self, request: Request) -> bool:
        return self._flights.get(request.flight.index) is request.flight and request.is_wanted

    def _dream(self, flight: Flight, pixels: Tensor) -> Dream:
        return Dream(
            pixels=pixels.float().cpu().contiguous(),
            weights_sha256=flight.runner.network.weights_sha256,
            tile_px=flight.tile_px,
            precision=flight.runner.precision,
        )

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        self._leave(flight)
        self._landed.append((flight.index, outcome))

    def _leave(self, flight: Flight) -> None:
        flight.dreaming.close()
        self._waiting.drop(lambda request: request.flight is flight)
        del self._flights[flight.index]
        self._memory.give_canvas_back(flight.way.canvas_bytes, flight.home)

    def _rows(self, key: PassKey) -> int:
        """How many windows make a pass of the requests of ``key``."""
        return self._memory.windows(self._cost(key.runner), key.size, key.runner.bytes_per_pixel)

    @staticmethod
    def _cost(runner: Runner) -> Hashable:
        """What passes of equal cost have in common."""
        return (runner.program.network.key, runner.program.objective.taps, runner.precision)

    def _explained(self, failure: Exception) -> DeepDreamError:
        """Return what to say of ``failure``, without its traceback, which would keep the failed pass in memory."""
        if isinstance(failure, DeepDreamError):
            failure.__context__ = None
            return failure.with_traceback(None)
        if is_out_of_memory(failure):
            return OutOfMemory(
                f"out of memory on {self._engine.device.name}, even for one picture in the smallest tiles; free some, "
                f"or lower engine.tile_px or engine.memory_gib"
            )
        first_line = (str(failure).splitlines() or [type(failure).__name__])[0]
        return EngineFault(f"the pass failed: {type(failure).__name__}: {first_line}")

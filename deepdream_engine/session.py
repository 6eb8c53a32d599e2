"""One stream of jobs through the engine: which pictures are in flight, and what becomes of a pass that fails.

Continuous batching: every picture steps on as soon as its own windows have passed, and a picture that lands makes room
for the next at once. Nothing here waits for the device.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

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

    def admit(self, index: int, job: DreamJob, precision: str | None = None) -> None:
        """Take a picture in; it asks for its first pass, or lands as a failure."""
        home = None
        pixels = job.pixels.shape[1] * job.pixels.shape[2]
        try:
            runner = self._engine.runner(job.program, precision)
            home = self._memory.take_canvas(pixels)
            way = Way(job, home, runner.dtype)
            tensors = runner.prepare(job, way)
            tile_px = self._memory.tile_px(self._cost(runner), runner.bytes_per_pixel)
            flight = Flight(index, way, runner=runner, tensors=tensors, home=home, tile_px=tile_px)
        except Exception as failure:  # noqa: BLE001  whatever a plugin raises costs its own job only
            if home is not None:
                self._memory.give_canvas_back(pixels, home)
            self._landed.append((index, Failure(error=self._explained(failure))))
            return
        self._flights[index] = flight
        self._advance(flight, None)

    def run_pass(self) -> None:
        """Run the most urgent pass. The pictures that it was the last to be waited for take their steps."""
        self._try(self._waiting.next_pass())

    def _try(self, requests: Sequence[Request]) -> None:
        try:
            whole = self._pass(requests)
        except Exception as failure:  # noqa: BLE001  whatever a score or a device raises costs its own jobs only
            # What is kept of the failure is its words: its traceback holds the tensors of the failed pass.
            error = self._explained(failure)
        else:
            for flight in whole:
                self._step(flight)
            return
        if isinstance(error, OutOfMemory):
            self._ran_out(requests, error)
        elif len(requests) > 1:
            for request in requests:
                if request.flight.index in self._flights:  # one of its other windows may have ended it
                    self._try([request])
        else:
            self._land(requests[0].flight, Failure(error=error))

    def _pass(self, requests: Sequence[Request]) -> list[Flight]:
        """Compute the gradients of the requested windows; return the flights whose views are whole now."""
        # On accelerators a pass is always full, if only of black windows, see memory._PASS_PX.
        rows = len(requests) if self._memory.granule_px == 1 else max(len(requests), self._rows(requests[0].key))
        gradients, scores = requests[0].flight.runner.gradient(stacked(requests, rows))
        whole = []
        for row, request in enumerate(requests):
            flight = request.flight
            flight.receive(gradients[row], scores[row], request)
            if not flight.missing:
                whole.append(flight)
        return whole

    def _step(self, flight: Flight) -> None:
        """Let a flight take the step that it has the whole gradient for, and tell of it."""
        flight.work_done += flight.view.picture.shape[2] * flight.view.picture.shape[3]
        self._on_progress(flight.index, min(1.0, flight.fraction))
        self._advance(flight, flight.slope())

    def _advance(self, flight: Flight, slope: Slope | None) -> None:
        """Go on to the flight's next view, or to its end."""
        try:
            view = next(flight.dreaming) if slope is None else flight.dreaming.send(slope)
        except StopIteration as end:
            self._land(flight, self._dream(flight, end.value))
        except NotFinite as error:
            self._not_finite(flight, error)
        except Exception as failure:  # noqa: BLE001  an ascent or a transform may be a plugin's
            self._land(flight, Failure(error=self._explained(failure)))
        else:
            self._ask(flight.look_at(view, self._memory.granule_px))

    def _ask(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._waiting.add(request.key, request)

    def _ran_out(self, requests: Sequence[Request], error: OutOfMemory) -> None:
        """Try again with fewer windows in the pass, then with smaller tiles."""
        key, tile_px = requests[0].key, requests[0].flight.tile_px
        cost = self._cost(requests[0].flight.runner)
        if not self._memory.ran_out(cost, key.size, len(requests), tile_px):
            self._land(requests[0].flight, Failure(error=error))
        elif len(requests) > 1:
            self._ask(requests)
        else:
            flight = requests[0].flight
            self._waiting.drop(lambda request: request.flight is flight)
            flight.tile_px = self._memory.tile_px(cost, flight.runner.bytes_per_pixel)
            self._ask(flight.look_at(flight.view, self._memory.granule_px))

    def _not_finite(self, flight: Flight, error: NotFinite) -> None:
        """Dream again in float32 what reduced precision has spoilt."""
        reduced = flight.runner.precision
        if reduced not in ("bf16", "tf32"):
            self._land(flight, Failure(error=error))
            return
        _LOG.warning("%s; dreaming it again in fp32", error)
        self._leave(flight)
        self.admit(flight.index, flight.way.job, "fp32")

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
        self._memory.give_canvas_back(flight.way.job.pixels.shape[1] * flight.way.job.pixels.shape[2], flight.home)

    def _rows(self, key: PassKey) -> int:
        """How many windows make a pass of the requests of ``key``."""
        runner = self._engine.runner(key.program, key.precision)
        return self._memory.windows(self._cost(runner), key.size, runner.bytes_per_pixel)

    @staticmethod
    def _cost(runner: Runner) -> Hashable:
        """What passes of equal cost have in common."""
        return (runner.program.network.key, runner.program.objective.taps, runner.precision)

    def _explained(self, failure: Exception) -> DeepDreamError:
        if isinstance(failure, DeepDreamError):
            return failure
        if is_out_of_memory(failure):
            return OutOfMemory(
                f"out of memory on {self._engine.device.name} with one picture and the smallest tile; free some, or "
                f"lower engine.tile_px"
            )
        first_line = (str(failure).splitlines() or [type(failure).__name__])[0]
        return EngineFault(f"the pass failed: {type(failure).__name__}: {first_line}")

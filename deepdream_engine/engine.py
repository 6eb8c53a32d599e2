"""The engine: any number of jobs in, their dreams out, in passes that fit.

>>> engine = Engine(device="auto")
>>> dreams = engine.dream(jobs)          # a list, in order; raises the first failure
>>> for index, outcome in engine.stream(jobs, on_progress=show): ...   # each as soon as it is done
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from deepdream_engine.capture import Captures
from deepdream_engine.device import Device, device_names
from deepdream_engine.errors import Cancelled
from deepdream_engine.memory import Memory
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.passes import Runner
from deepdream_engine.precision import settle
from deepdream_engine.recent import Recent
from deepdream_engine.records import Dream, DreamJob, Failure, Objective, Outcome, Program, Progress
from deepdream_engine.session import Session

_NETWORKS_KEPT = 4
_RUNNERS_KEPT = 16


class Engine:
    """Dreams jobs on one device.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; where it names several, the first is taken
    (``device.device_names`` lists them, for an engine each). At most ``max_batch`` pictures are in flight; a pass has
    tiles of ``tile_px`` × ``tile_px`` pixels, by default the largest that fit ``memory_gib``, by default a share of the
    device's memory that is free now. ``compile`` records passes as CUDA graphs. An engine is used by one thread at a
    time.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        max_batch: int = 32,
        tile_px: int | None = None,
        memory_gib: float | None = None,
        compile: bool = False,
    ) -> None:
        self.device = Device(device_names(device)[0])
        self.memory = Memory(self.device, max_batch=max_batch, tile_px=tile_px, memory_gib=memory_gib)
        self._captures = Captures(self.device.torch_device) if compile else None
        self._settled: dict[Hashable, str] = {}
        self._loaded: Recent[LoadedNetwork] = Recent(_NETWORKS_KEPT)
        self._tapped: Recent[TappedNetwork] = Recent(_NETWORKS_KEPT)
        self._runners: Recent[Runner] = Recent(_RUNNERS_KEPT)
        self.busy_seconds = 0.0
        """Seconds spent on pictures so far: taking them in, running their passes. Waiting for the next picture, or for
        whoever takes a dream, is not counted. On accelerators this is the host's time, which ends up waiting for the
        device at the end of each octave."""

    def dream(self, jobs: Sequence[DreamJob], *, on_progress: Progress | None = None) -> list[Dream]:
        """Return the dreams of ``jobs``, in order. Raises the first job's error, if any fails."""
        outcomes = dict(self.stream(jobs, on_progress=on_progress))
        dreams = []
        for _, outcome in sorted(outcomes.items()):
            if isinstance(outcome, Failure):
                raise outcome.error
            dreams.append(outcome)
        return dreams

    def stream(
        self,
        jobs: Iterable[DreamJob | None],
        *,
        on_progress: Progress | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index, outcome)`` for every job as soon as it is done; ``index`` counts the jobs.

        A job is taken from ``jobs`` when there is room for it, so ``jobs`` may be a feed that goes on as long as the
        engine is asked; ``None`` in it means that there is nothing at the moment. A job that fails yields a ``Failure``
        and leaves the others alone. ``should_stop`` is asked before each pass; when it answers true, ``Cancelled`` is
        raised and unfinished jobs yield nothing.
        """
        session = Session(self, on_progress or (lambda _index, _fraction: None))
        feed = iter(jobs)
        taken, more = 0, True
        try:
            while more or session.busy:
                while more and session.has_room:
                    try:
                        job = next(feed)
                    except StopIteration:
                        more = False
                        break
                    if job is None:
                        break
                    with self._working():
                        session.admit(taken, job)
                    taken += 1
                    yield from session.landed()
                if should_stop():
                    raise Cancelled("stopped by the caller")
                if session.busy:
                    with self._working():
                        session.run_pass()
                    yield from session.landed()
        finally:
            session.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.busy_seconds += time.perf_counter() - begun

    def runner(self, program: Program, precision: str | None = None) -> Runner:
        """Return ``program`` ready on the device, in ``precision`` or else as near as it gets to its own."""
        chosen = self._settle(program) if precision is None else precision
        return self._runners.get(
            (program, chosen),
            lambda: Runner(program, self.network(program, chosen), self.device, chosen, captures=self._captures),
        )

    def _settle(self, program: Program) -> str:
        """Return the program's precision, or ``fp32`` if the device or these layers of the network are not up to it."""
        taps = program.objective.taps
        if not taps and program.precision != "fp64":
            return "fp32"  # a score of pixels is computed in full precision anyway
        key = (program.network.key, taps, program.precision)

        def gradient(precision: str, picture: Tensor) -> Tensor:
            trial = replace(program, objective=_everything(taps))
            runner = Runner(trial, self.network(program, precision), self.device, precision, captures=None)
            return runner.gradient(runner.inputs_of(picture))[0]

        if key not in self._settled:
            self._settled[key] = settle(program.precision, gradient, self.device)
        return self._settled[key]

    def forget_captures(self) -> None:
        """Drop recorded passes: they hold memory that somebody else needs."""
        if self._captures is not None:
            self._captures.clear()

    def network(self, program: Program, precision: str) -> TappedNetwork:
        """Return the program's network, cut after its taps, on the device."""
        network, taps = program.network, program.objective.taps

        def cut() -> TappedNetwork:
            loaded = self._loaded.get(network.key, lambda: LoadedNetwork(network))
            return TappedNetwork(loaded, taps).on(self.device, precision)

        return self._tapped.get((network.key, taps, precision), cut)


def _everything(taps: tuple[str, ...]) -> Objective:
    """Half the sum of squares of all that a program's taps see: what its precision is judged by."""

    def score(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
        return torch.stack([activations[tap].square().flatten(1).sum(1) / 2 for tap in taps]).sum(0)

    return Objective(key=("everything", taps), taps=taps, score=score)

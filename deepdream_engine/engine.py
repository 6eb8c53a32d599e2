"""The engine: any number of jobs in, their dreams out, in batches that fit.

>>> engine = Engine(device="auto")
>>> dreams = engine.dream(jobs)          # a list, in order; raises the first failure
>>> for index, outcome in engine.stream(jobs, on_progress=show): ...   # each as soon as it is done
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

import torch

from deepdream_engine.device import Device, device_names
from deepdream_engine.dreaming import dream_batch
from deepdream_engine.errors import Cancelled, DeepDreamError, EngineFault, OutOfMemory
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.records import Dream, DreamJob, Failure, Outcome, Program, Progress

_SMALLEST_TILE_PX = 256
_NETWORKS_KEPT = 4


class Engine:
    """Dreams jobs on one device.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; where it names several, the first is taken
    (``device.device_names`` lists them, for an engine each). A pass holds at most ``max_batch`` pictures and
    ``tile_px`` × ``tile_px`` pixels in all, which is what bounds its memory. An engine is used by one thread at a time.
    """

    def __init__(self, *, device: str = "auto", max_batch: int = 8, tile_px: int = 1536) -> None:
        self.device = Device(device_names(device)[0])
        self.max_batch = max_batch
        self.tile_px = tile_px
        self._loaded: _Recent[LoadedNetwork] = _Recent(_NETWORKS_KEPT)
        self._tapped: _Recent[TappedNetwork] = _Recent(_NETWORKS_KEPT)

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
        jobs: Sequence[DreamJob],
        *,
        on_progress: Progress | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield ``(index, outcome)`` for every job as soon as its batch is done.

        A job that fails yields a ``Failure`` and leaves the others alone. ``should_stop`` is asked after each step;
        when it answers true, ``Cancelled`` is raised and unfinished jobs yield nothing.
        """
        buckets: dict[Hashable, list[int]] = {}
        for index, job in enumerate(jobs):
            buckets.setdefault((job.program, tuple(job.pixels.shape), frozenset(job.options)), []).append(index)
        for indices in buckets.values():
            waiting = iter(indices)
            while batch := list(islice(waiting, self._batch_size(jobs[indices[0]]))):
                yield from self._run(jobs, batch, self.tile_px, on_progress, should_stop)

    def _batch_size(self, job: DreamJob) -> int:
        """How many pictures of the size of ``job`` share a pass.

        On a CPU it is one: convolutions there choose their order of summation by the batch's size, which dreaming
        amplifies to another picture within some 20 steps. Batches of 8 were quicker for thumbnails only (2 × at
        128 × 96 pixels; 0.45 × at 410 × 231, where they no longer fit the cache).
        """
        if self.device.torch_device.type == "cpu":
            return 1
        pixels = job.pixels.shape[1] * job.pixels.shape[2]
        return max(1, min(self.max_batch, self.tile_px**2 // max(1, pixels)))

    def _run(
        self,
        jobs: Sequence[DreamJob],
        batch: list[int],
        tile_px: int,
        on_progress: Progress | None,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[int, Outcome]]:
        """Dream one batch; when it fails, find the culprit by halving it; out of memory, halve the tile at last."""

        def after_step(fraction: float) -> None:
            if should_stop():
                raise Cancelled("stopped by the caller")
            if on_progress is not None:
                for index in batch:
                    on_progress(index, fraction)

        error: DeepDreamError
        try:
            network = self._network(jobs[batch[0]].program)
            chosen = [jobs[index] for index in batch]
            outcomes = dream_batch(chosen, network, self.device, tile_px=tile_px, after_step=after_step)
        except Cancelled:
            raise
        except DeepDreamError as known:
            error = known
        except Exception as failure:  # noqa: BLE001  whatever a plugin's score or a device raises costs its job only
            # The failure itself is not kept: its traceback holds the tensors of the failed pass.
            error = self._explained(failure, tile_px)
        else:
            yield from zip(batch, outcomes, strict=True)
            return
        if isinstance(error, OutOfMemory):
            self._free()
            if len(batch) == 1 and tile_px // 2 >= _SMALLEST_TILE_PX:
                yield from self._run(jobs, batch, tile_px // 2, on_progress, should_stop)
                return
        if len(batch) == 1:
            yield batch[0], Failure(error=error)
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            yield from self._run(jobs, half, tile_px, on_progress, should_stop)

    def _network(self, program: Program) -> TappedNetwork:
        """Return the program's network, cut after its taps, on the device."""
        network, taps = program.network, program.objective.taps

        def cut() -> TappedNetwork:
            loaded = self._loaded.get(network.key, lambda: LoadedNetwork(network))
            return TappedNetwork(loaded, taps).on(self.device, program.precision)

        return self._tapped.get((network.key, taps, self.device.dtype(program.precision)), cut)

    def _explained(self, failure: Exception, tile_px: int) -> EngineFault:
        if is_out_of_memory(failure):
            return OutOfMemory(
                f"out of memory on {self.device.name} with one picture and tiles of {tile_px} px; free some, or lower "
                f"engine.tile_px"
            )
        return EngineFault(f"the pass failed: {type(failure).__name__}: {_first_line(failure)}")

    def _free(self) -> None:
        if self.device.torch_device.type == "cuda":
            torch.cuda.empty_cache()


Item = TypeVar("Item")


class _Recent(Generic[Item]):
    """Keeps the ``count`` most recently used items."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._items: OrderedDict[Hashable, Item] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of ``key``, made if it is not kept."""
        if key not in self._items:
            self._items[key] = make()
        self._items.move_to_end(key)
        while len(self._items) > self._count:
            self._items.popitem(last=False)
        return self._items[key]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is an allocation that failed, on a GPU or on the CPU (whose allocator has no type for it)."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

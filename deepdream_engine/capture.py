"""Passes recorded as CUDA graphs: a pass of a known shape is replayed at once, without Python in between.

Shapes of passes do not depend on the pictures' sizes alone (windows are rounded up to multiples of the granule), so a
folder of mixed sizes records a few dozen graphs and no more.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from deepdream_engine.passes import Inputs

Pass = Callable[["Inputs"], tuple[Tensor, Tensor]]

_LOG = logging.getLogger(__name__)
_KEPT = 64


class Captures:
    """Runs passes as CUDA graphs, recorded at the second pass of each shape: the first may be the only one."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._broken = False
        self._pool: Any = None
        if device.type != "cuda":
            self._give_up(f"there are none on {device.type}")

    def run(self, run: Pass, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return what ``run(inputs)`` returns; the tensors hold until the next pass of the same shape."""
        if self._broken:
            return run(inputs)
        key = (run, *((name, tuple(tensor.shape)) for name, tensor in _tensors(inputs)))
        if key not in self._graphs:
            self._graphs[key] = None
            while len(self._graphs) > _KEPT:
                self._graphs.popitem(last=False)
            return run(inputs)
        graph = self._graphs[key]
        self._graphs.move_to_end(key)
        if graph is None:
            try:
                # One pool for all: what a pass returns is used up before the next one runs.
                self._pool = self._pool or torch.cuda.graph_pool_handle()
                graph = self._graphs[key] = _Graph(run, inputs, self._device, self._pool)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._give_up(str(error).splitlines()[0])
                return run(inputs)
        return graph.replay(inputs)

    def clear(self) -> None:
        """Forget all recorded passes and the memory that they hold."""
        self._graphs.clear()
        self._pool = None

    def _give_up(self, reason: str) -> None:
        self._broken = True
        self._graphs.clear()
        _LOG.warning("engine.compile has no effect: passes cannot be recorded as CUDA graphs (%s)", reason)


class _Graph:
    """One recorded pass and the memory that it reads from and writes to."""

    def __init__(self, run: Pass, inputs: Inputs, device: torch.device, pool: Any) -> None:
        self._inputs = _cloned(inputs)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(2):  # libraries choose their algorithms and allocate workspaces, which may not be recorded
                run(self._inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # The stream by name: the default is one of the device that was current at the first recording of all. Other
        # threads, with other devices, may go on meanwhile.
        with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self._outputs = run(self._inputs)

    def replay(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Run the pass on ``inputs`` of the recorded shapes."""
        for (_, own), (_, given) in zip(_tensors(self._inputs), _tensors(inputs), strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._outputs


def _tensors(inputs: Inputs) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    for entry in fields(inputs):
        value = getattr(inputs, entry.name)
        if isinstance(value, Tensor):
            found.append((entry.name, value))
        elif value is not None:
            found += [(f"{entry.name}.{name}", tensor) for name, tensor in sorted(value.items())]
    return found


def _cloned(inputs: Inputs) -> Inputs:
    values = {}
    for entry in fields(inputs):
        value = getattr(inputs, entry.name)
        if isinstance(value, Tensor):
            value = value.clone()
        elif value is not None:
            value = {name: tensor.clone() for name, tensor in value.items()}
        values[entry.name] = value
    return type(inputs)(**values)

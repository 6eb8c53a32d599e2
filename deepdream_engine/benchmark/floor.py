"""What the hardware allows: the work that a step needs, over the rates that the device was measured to reach.

The work is counted on the ``meta`` device, operation by operation, forward and backward to the picture:

- *operations*: two for each multiplication and addition, by the formulas of ``torch.utils.flop_counter``;
- *bytes*: what each operation reads and writes, weights included, as if nothing stayed in a cache in between.
  Elementwise operations (ReLU and its gradient, sums) count nothing, as they can be done while a neighbour's result is
  at hand; nor do views.

An operation takes at least the longer of its two times, and operations run one after another, so the floor is the sum
of those. Where a device keeps activations in its cache the true floor is lower; no device is quicker at it otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from deepdream_engine.benchmark.timing import ROUNDS, interleaved
from deepdream_engine.device import Device
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.pyramid import Size
from deepdream_engine.records import Network

_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp64": 8}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of a step: its multiplications and additions, and the values that it reads and writes."""

    name: str
    flops: int
    values: int


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the device reaches in one precision, measured: operations of a large matrix product per second, and bytes
    read and written per second by a large copy."""

    flops: float
    bytes: float


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least seconds that the operations take, and what they come to."""

    seconds: float
    flops: int
    bytes: int


def count_step(network: Network, tap: str, size: Size) -> list[Operation]:
    """Return the operations of one gradient of a picture of ``size`` at ``tap``."""
    body = TappedNetwork(LoadedNetwork(network), (tap,)).float().to("meta")
    picture = torch.empty((1, 3, *size), device="meta", requires_grad=True)
    counter = _Counter()
    with torch.enable_grad(), counter:
        score = body(picture)[tap].square().sum() / 2
        torch.autograd.grad(score, picture)
    return counter.operations


def floor_of(operations: Sequence[Operation], rates: Rates, precision: str) -> Floor:
    """Return the least time for ``operations`` at ``rates``."""
    each = _BYTES[precision]
    return Floor(
        seconds=sum(max(item.flops / rates.flops, item.values * each / rates.bytes) for item in operations),
        flops=sum(item.flops for item in operations),
        bytes=sum(item.values for item in operations) * each,
    )


def measure_rates(device: Device, precisions: Sequence[str], *, rounds: int = ROUNDS) -> Mapping[str, Rates]:
    """Measure a matrix product in each of ``precisions`` and a copy, in turns."""
    where = device.torch_device
    side, values = (8192, 1 << 28) if where.type == "cuda" else (1024, 1 << 24)
    source = torch.ones(values, device=where)
    target = torch.empty_like(source)
    runs = {"copy": lambda: target.copy_(source)}
    for precision in precisions:
        dtype = torch.bfloat16 if precision == "bf16" else device.dtype(precision)
        factor = torch.randn(side, side, device=where).to(dtype)

        def multiply(factor: Tensor = factor, precision: str = precision) -> Tensor:
            with device.autocast(precision):
                return factor @ factor

        runs[precision] = multiply
    times = interleaved(runs, device=where, rounds=rounds)
    copied = 2 * values * source.element_size() / times["copy"].wall.median
    return {
        precision: Rates(flops=2 * side**3 / times[precision].wall.median, bytes=copied) for precision in precisions
    }


_ELEMENTWISE = {
    "relu", "relu_", "threshold_backward", "add", "add_", "sub", "div", "mul", "square", "pow", "clone", "copy_",
    "_to_copy", "sum", "expand", "empty", "empty_like", "ones_like", "zeros_like", "fill_", "hardtanh", "silu",
}  # fmt: skip


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation that is dispatched below autograd."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        formula = flop_registry.get(packet)
        name = packet.__name__
        if formula is not None or not (func.is_view or name in _ELEMENTWISE):
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            flops = int(formula(*args, **(kwargs or {}), out_val=result)) if formula is not None else 0
            values = sum(tensor.numel() for tensor in tensors)
            self.operations.append(Operation(name=name, flops=flops, values=values))
        return result

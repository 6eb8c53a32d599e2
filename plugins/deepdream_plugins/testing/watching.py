"""What makes a device wait, noticed where it is called: reading values of tensors that have none, and sending them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_READS = {
    "item": ".item()",
    "tolist": ".tolist()",
    "numpy": ".numpy()",
    "__array__": "numpy's conversion",
    "cpu": ".cpu()",
    "__bool__": "the truth of a tensor (if, while, and, or, not)",
    "is_nonzero": ".is_nonzero()",
    "__float__": "float()",
    "__int__": "int()",
    "__index__": "a tensor used as a number, as in range() or a slice,",
    "__contains__": "in",
    "__repr__": "printing a tensor",
    "__format__": "printing a tensor",
    "nonzero": "nonzero()",
    "argwhere": "argwhere()",
    "masked_select": "masked_select()",
    "unique": "unique()",
    "unique_consecutive": "unique_consecutive()",
    "bincount": "bincount()",
    "equal": "torch.equal()",
    "allclose": "torch.allclose()",
    "repeat_interleave": "repeat_interleave() without output_size",
}
"""Functions that wait for the device, and how they are written."""

ADVICE = (
    "It runs in the step loop, where this makes the device wait in every step. Stay with tensors: torch.where for a "
    "choice, .clamp for a bound, the shape for sizes; what is known beforehand belongs into an option, or for an "
    "objective into prepare."
)
_MADE = (
    "Numbers that are brought to the device make it wait in every step: use plain Python numbers, torch.full_like, "
    "torch.arange(..., device=...) or .to(device, non_blocking=True)."
)


class Waits(Exception):
    """The code did something that makes a device wait."""

    does = "waits for the device"


class FailsThere(Waits):
    """The code did something that works on a CPU alone."""

    does = "fails on a GPU"


class Watch(TorchFunctionMode):
    """Raises :class:`Waits` when a value of a tensor without values is asked for, or values are sent to it."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if _has_meta(args) or _has_meta(named.values()):
            self._refuse_reading(name, args, named)
        result = func(*args, **named)
        self._refuse_sending(name, args, named, result)
        return result

    @staticmethod
    def _refuse_reading(name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if name == "repeat_interleave" and named.get("output_size") is not None:
            return
        if name in _READS:
            raise Waits(f"{_READS[name]} reads values. {ADVICE}")
        if name == "to" and "cpu" in map(_type_of, (*args[1:], *named.values())):
            raise Waits(f'.to("cpu") reads values. {ADVICE}')
        if name == "where" and len(args) + len(named) == 1:
            raise Waits(f"torch.where with a condition alone reads values. {ADVICE}")
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(item, Tensor) and item.dtype is torch.bool for item in index):
                raise Waits(f"a mask as an index, as in x[x > 0], reads values. {ADVICE}")

    @staticmethod
    def _refuse_sending(name: str, args: tuple[Any, ...], named: Mapping[str, Any], result: object) -> None:
        if not isinstance(result, Tensor) or result.device.type != "meta":
            return
        generator = named.get("generator")
        if isinstance(generator, torch.Generator) and generator.device.type == "cpu":
            raise FailsThere(
                f"{name}() draws on the device with a generator of the CPU; draw without device=, and bring it there "
                f"with .to(picture.device, non_blocking=True)."
            )
        if name in ("tensor", "as_tensor", "new_tensor"):
            raise Waits(f"{name}() sends numbers to it. {_MADE}")
        is_sent = args and isinstance(args[0], Tensor) and args[0].device.type == "cpu"
        if name in ("to", "cuda") and is_sent and not named.get("non_blocking"):
            raise Waits(f".{name}() sends a tensor to it. {_MADE}")


def _has_meta(values: Iterable[Any]) -> bool:
    return any(
        _has_meta(value) if isinstance(value, list | tuple) else _type_of(value) == "meta" and isinstance(value, Tensor)
        for value in values
    )


def _type_of(value: object) -> str:
    """Return the kind of device that an argument means, or an empty string."""
    if isinstance(value, Tensor):
        return value.device.type
    if isinstance(value, torch.device):
        return value.type
    return value.partition(":")[0] if isinstance(value, str) else ""

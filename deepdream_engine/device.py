"""Where passes run and in which precision, chosen by Lightning Fabric.

Fabric picks the accelerator and gives placement and autocast; launching and parallelism stay with the caller's
executors, so a :class:`Device` is always one device.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor, nn

from deepdream_engine.errors import BadOption, unknown

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Placed = TypeVar("Placed", nn.Module, Tensor)

_FABRIC_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "64-true"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp64": "64-true",
}
_KINDS = ("auto", "cpu", "cuda", "mps")


def device_names(wanted: str) -> list[str]:
    """Return the devices that ``wanted`` means: ``auto`` is every CUDA device, else MPS, else the CPU.

    ``cuda`` is every CUDA device, ``cuda:1`` the second. Raises ``BadOption`` for a name that is none of these or
    a device that this machine lacks.
    """
    kind, _, index = wanted.partition(":")
    count = torch.cuda.device_count() if kind in ("auto", "cuda") else 0
    mps = torch.backends.mps.is_available()
    if kind not in _KINDS or (index and not (kind == "cuda" and index.isdigit())):
        raise BadOption(f"engine.device: {unknown('device', wanted, (*_KINDS, 'cuda:0', 'cuda:1'))}")
    if (kind == "cuda" and count <= int(index or 0)) or (kind == "mps" and not mps):
        have = [*(f"cuda:{i}" for i in range(count)), *(["mps"] if mps else []), "cpu"]
        raise BadOption(
            f"engine.device: {wanted!r} is not on this machine. It has: {', '.join(have)}. 'auto' takes the best."
        )
    if kind == "cuda" and index:
        return [wanted]
    if count:
        return [f"cuda:{i}" for i in range(count)]
    return ["mps"] if kind != "cpu" and mps else ["cpu"]


class Device:
    """One device: placement, and autocast for each precision."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._fabrics: dict[str, Fabric] = {}
        self.torch_device = self._fabric("fp32").device

    def _fabric(self, precision: str) -> Fabric:
        """Return the Fabric of ``precision``, made on first use: Fabric announces every reduced precision."""
        if precision not in self._fabrics:
            # Fabric takes seconds to import; only a process that dreams pays for it.
            from lightning_fabric import Fabric

            kind, _, index = self.name.partition(":")
            devices: list[int] | int = [int(index or 0)] if kind == "cuda" else 1
            with warnings.catch_warnings():
                # "GPU available but not used" and the like: the user chose the device by name.
                warnings.simplefilter("ignore")
                self._fabrics[precision] = Fabric(
                    accelerator=kind, devices=devices, precision=_FABRIC_PRECISION[precision]
                )
        return self._fabrics[precision]

    def place(self, value: Placed) -> Placed:
        """Return ``value`` on this device."""
        return self._fabric("fp32").to_device(value)

    def autocast(self, precision: str) -> AbstractContextManager[None]:
        """Return the autocast context of ``precision``, one of ``PRECISIONS``."""
        return self._fabric(precision).autocast()

    def dtype(self, precision: str) -> torch.dtype:
        """Return the type of canvas and weights for ``precision``; raise ``BadOption`` if the device lacks it."""
        if precision != "fp64":
            return torch.float32
        if self.torch_device.type == "mps":
            raise BadOption("precision: 'fp64' is not available on Apple's GPUs. Valid here: bf16, fp32.")
        return torch.float64

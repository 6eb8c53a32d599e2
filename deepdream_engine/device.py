"""Where passes run and in which precision, chosen by Lightning Fabric.

Fabric picks the accelerator and gives placement and autocast; launching and parallelism stay with the caller's
executors, so a :class:`Device` is always one device.
"""

from __future__ import annotations

import os
import platform
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

import psutil
import torch
from torch import Tensor, nn

from deepdream_engine.errors import BadOption, unknown

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Placed = TypeVar("Placed", nn.Module, Tensor)

_FABRIC_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "64-true"]] = {
    "fp32": "32-true",
    "tf32": "32-true",
    "bf16": "bf16-mixed",
    "fp64": "64-true",
}
_CONVOLUTION_BYTES = 67_000
_CONVOLUTIONS_KEPT = (1024, 8192)
_CONVOLUTIONS_SHARE = 0.02
_ISSUING = threading.RLock()
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


def _convolutions_kept() -> int:
    least, most = _CONVOLUTIONS_KEPT
    wanted = _CONVOLUTIONS_SHARE * psutil.virtual_memory().total / _CONVOLUTION_BYTES
    return int(min(max(least, wanted), most))


class Device:
    """One device: placement, and autocast for each precision."""

    def __init__(self, name: str) -> None:
        self.name = name
        # oneDNN compiles each convolution for each size, which takes as long as half a step or more, and keeps 1,024 of
        # them: three sizes of pictures, on four octaves each. It is read at the first convolution.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_convolutions_kept()))
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
        """Return the context in which a network of ``precision``, one of ``PRECISIONS``, runs forward."""
        return self._fabric(precision).autocast()

    @contextmanager
    def arithmetic(self, precision: str) -> Iterator[None]:
        """The context of a whole pass of ``precision``, its backward included: how a GPU multiplies float32.

        By default PyTorch rounds the factors of convolutions to TF32's 10 bits, and lets cuDNN choose algorithms that
        add up in any order. These are settings of the whole process, so passes of other devices are issued after this.
        """
        if self.torch_device.type != "cuda":
            yield
            return
        settings = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
        with _ISSUING, torch.cuda.device(self.torch_device):
            before = [setting.fp32_precision for setting in settings]
            deterministic = torch.backends.cudnn.deterministic
            try:
                torch.backends.cudnn.deterministic = True
                for setting in settings:
                    setting.fp32_precision = "tf32" if precision == "tf32" else "ieee"
                yield
            finally:
                torch.backends.cudnn.deterministic = deterministic
                for setting, value in zip(settings, before, strict=True):
                    setting.fp32_precision = value

    def lacks(self, precision: str) -> str:
        """Return why this device cannot gain from ``precision``, in a few words; nothing if it can."""
        kind = self.torch_device.type
        if precision == "tf32" and not (
            kind == "cuda" and torch.cuda.get_device_capability(self.torch_device) >= (8, 0)
        ):
            return "only NVIDIA's GPUs from Ampere on have it"
        if precision == "bf16" and kind == "cuda" and torch.cuda.get_device_capability(self.torch_device) < (8, 0):
            return "only NVIDIA's GPUs from Ampere on have it"
        if precision == "bf16" and kind == "cpu" and not _cpu_has_bf16():
            return "this processor has no instructions for it"
        return ""

    def packs_convolutions(self, precision: str) -> bool:
        """Whether oneDNN's packed convolutions are to be had here in ``precision``."""
        return (
            self.torch_device.type == "cpu"
            and platform.machine() in ("x86_64", "AMD64")
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and (precision in ("fp32", "tf32") or (precision == "bf16" and _cpu_has_bf16()))
        )

    def dtype(self, precision: str) -> torch.dtype:
        """Return the type of canvas and weights for ``precision``; raise ``BadOption`` if the device lacks it."""
        if precision != "fp64":
            return torch.float32
        if self.torch_device.type == "mps":
            raise BadOption("precision: 'fp64' is not available on Apple's GPUs. Valid here: bf16, fp32.")
        return torch.float64


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; oneDNN imitates it elsewhere, and is slower than with float32."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16"))

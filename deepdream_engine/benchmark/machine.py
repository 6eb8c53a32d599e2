"""What a measurement was made on: without it a figure means nothing."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from deepdream_engine import __version__
from deepdream_engine.device import Device

_REDUCED = ("tf32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device and what runs on it. ``precisions`` are those that the device gains from."""

    device: str
    processor: str
    threads: int
    precisions: tuple[str, ...]
    deepdream: str
    torch: str
    python: str
    system: str


def describe(device: Device) -> Machine:
    """Return what ``device`` is, and the versions at work."""
    return Machine(
        device=device.name,
        processor=_processor(device.torch_device),
        threads=torch.get_num_threads(),
        precisions=("fp32", *(name for name in _REDUCED if not device.lacks(name))),
        deepdream=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()

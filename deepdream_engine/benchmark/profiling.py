"""Where a run's time goes: the operations that the device spends it on, and the share in which it has nothing to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from deepdream_engine.benchmark.timing import Run, synchronise


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Operations of one name: the device's seconds in them, not counting what they call, and their number."""

    name: str
    seconds: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """``wall_seconds`` from the first of the device's work to its last; ``idle_share`` of it without any; ``top``
    operations by the device's time."""

    wall_seconds: float
    idle_share: float
    top: tuple[Spent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)


def profiled(run: Run, device: torch.device, *, top: int = 15) -> Profile:
    """Profile one ``run``, after one that does not count. On a CPU, idle is the time outside of PyTorch's operations,
    which is Python's."""
    run()
    synchronise(device)
    on_gpu = device.type == "cuda"
    kind = "CUDA" if on_gpu else "CPU"
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        run()
        synchronise(device)
    events = [event for event in profiler.events() or () if event.device_type.name == kind]
    begin, end, busy = _covered((event.time_range.start, event.time_range.end) for event in events)
    attribute = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    spent = sorted(
        (
            Spent(name=event.key, seconds=getattr(event, attribute) / 1e6, count=event.count)
            for event in profiler.key_averages()
            if event.device_type.name == kind  # else an operation and its kernel would both be told of
        ),
        key=lambda each: -each.seconds,
    )
    wall = max(end - begin, 1e-9)
    return Profile(wall_seconds=wall / 1e6, idle_share=1 - busy / wall, top=tuple(spent[:top]))


def _covered(spans: Iterable[tuple[float, float]]) -> tuple[float, float, float]:
    """Return where ``spans`` begin and end, and how much of the time between lies in at least one of them."""
    ordered = sorted(spans)
    if not ordered:
        return 0.0, 0.0, 0.0
    covered, until = 0.0, ordered[0][0]
    for begin, end in ordered:
        if end > until:
            covered += end - max(begin, until)
            until = end
    return ordered[0][0], until, covered

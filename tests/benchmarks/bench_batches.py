"""Pictures per second by their number in flight and by precision, against a naive script and the hardware's floor.

    python tests/benchmarks/bench_batches.py [--device cuda] [--batches 1 8 32 128] [--profile] [--json FILE]

Whole dreams (4 octaves × 1.4, ``--steps`` on each) of pictures in memory, GoogLeNet with random weights and the
embedded network. All rows of a network take turns. The floor is explained in ``deepdream_engine/benchmark/floor.py``;
a share near 1 means that nothing but the mathematics is left. ``--profile`` shows where the rest goes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from deepdream_engine import Engine, Network
from deepdream_engine.benchmark.batches import Batches, measure_batches, profile_batch
from deepdream_engine.benchmark.floor import measure_rates
from deepdream_engine.benchmark.machine import describe
from deepdream_engine.benchmark.profiling import Profile
from deepdream_engine.benchmark.timing import ROUNDS
from deepdream_engine.benchmark.work import GOOGLE, random_googlenet
from deepdream_plugins import RecipeBook, load_catalogue

TAPS = {"googlenet": "inception4c", "dreamnet": "mixed4d"}


def network(name: str) -> Network:
    """Return one of ``TAPS``."""
    if name == "googlenet":
        return random_googlenet()
    return RecipeBook(load_catalogue()).resolve("classic").program().network


def show(found: Batches) -> str:
    """Return the table of one network."""
    width, height = found.size[1], found.size[0]
    lines = [
        f"{found.network} to {found.tap}, {width} × {height}; naive: {found.naive.median:.3f} pictures/s, "
        f"{len(found.naive.values)} rounds",
        f"{'precision':<11}{'batch':>6}{'pictures/s':>12}{'quartiles':>20}{'× naive':>9}{'of the floor':>14}",
    ]
    for cell in found.cells:
        low, high = cell.rate.quartiles
        lines.append(
            f"{cell.precision:<11}{cell.batch:>6}{cell.rate.median:>12.3f}{f'{low:.3f} – {high:.3f}':>20}"
            f"{cell.speedup.median:>9.2f}{cell.floor_share:>14.1%}"
        )
    for name, floor in found.floors.items():
        rates = found.rates[name]
        lines.append(
            f"  {name}: {floor.flops / 1e9:.1f} GFLOP and {floor.bytes / 1e9:.2f} GB a picture at "
            f"{rates.flops / 1e12:.2f} TFLOP/s and {rates.bytes / 1e9:.0f} GB/s: {floor.seconds * 1000:.1f} ms at least"
        )
    lines += [f"  {name} falls back to fp32 with this network" for name in found.fell_back]
    return "\n".join(lines)


def show_profile(name: str, found: Profile) -> str:
    """Return what a profile found."""
    total = sum(item.seconds for item in found.top)
    lines = [f"{name}: {found.wall_seconds:.3f} s, the device idle for {found.idle_share:.1%} of them"]
    lines += [
        f"  {item.seconds * 1000:9.2f} ms {item.seconds / total:6.1%} {item.count:>7} × {item.name[:80]}"
        for item in found.top
    ]
    return "\n".join(lines)


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure and print all that was asked for; return it as JSON-safe data."""

    def make_engine(batch: int) -> Engine:
        return Engine(device=chosen.device, max_batch=batch, compile=chosen.compile)

    device = make_engine(1).device
    precisions: Sequence[str] = chosen.precisions or describe(device).precisions
    schedule = replace(GOOGLE, steps=chosen.steps)
    size = (chosen.size[1], chosen.size[0])
    rates = measure_rates(device, precisions, rounds=chosen.rounds)
    data: dict[str, Any] = {"machine": asdict(describe(device)), "steps": chosen.steps, "networks": [], "profiles": []}
    for name in chosen.networks:
        found = measure_batches(
            make_engine, network(name), TAPS[name], rates, batches=chosen.batches, size=size, schedule=schedule,
            rounds=chosen.rounds,
        )  # fmt: skip
        data["networks"].append(found.to_dict())
        print(show(found), flush=True)
        for precision in precisions if chosen.profile else ():
            batch = max(chosen.batches)
            profile = profile_batch(
                make_engine(batch), network(name), TAPS[name], batch=batch, size=size, precision=precision,
                schedule=replace(schedule, steps=1),
            )  # fmt: skip
            data["profiles"].append({"network": name, "precision": precision, "batch": batch, **profile.to_dict()})
            print(show_profile(f"{name}, {precision}, {batch} pictures", profile), flush=True)
    return data


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--networks", nargs="+", choices=TAPS, default=list(TAPS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "tf32", "bf16"), help="default: what it gains from")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 576), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--steps", type=int, default=10, help="on each octave")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--compile", action="store_true", help="record passes as CUDA graphs")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    data = measure(chosen)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()

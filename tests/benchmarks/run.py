"""The benchmark suite: every figure is a ratio of runs that took turns, beside its target.

    python tests/benchmarks/run.py [--only step mixed overlap batches memory] [--short] [--json FILE]

``step``: one picture, against a naive script (deepdream_engine/benchmark/naive.py). ``mixed``: a folder of many sizes
against one of equal sizes. ``overlap``: the engine's share of the time when the daemon works through a folder of
photos. ``batches``: pictures at once, on a GPU (bench_batches.py has the whole table). ``memory``: peak host memory
(bench_memory.py). ``--short`` takes a few minutes instead of an hour; its figures are rough. Nothing here gates CI.
Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from bench_batches import TAPS, network
from bench_overlap import measure_overlap
from figures import Figure, figure, table

from deepdream_engine import Engine
from deepdream_engine.benchmark.batches import measure_batches
from deepdream_engine.benchmark.floor import measure_rates
from deepdream_engine.benchmark.machine import describe
from deepdream_engine.benchmark.mixed import measure_mixed
from deepdream_engine.benchmark.single import NAIVE, measure_single
from deepdream_engine.benchmark.work import GOOGLE

STEP_TARGETS = {"fp32": 2.5, "bf16": 3.5}
MIXED_TARGET, OVERLAP_TARGET, BATCH_TARGET = 0.9, 0.95, 10.0


def step(engine: Engine, *, short: bool) -> Iterator[Figure]:
    """GoogLeNet to inception4c, 1024 × 576, 4 octaves × 10 steps; ``short``: the embedded network, 512 × 288, 4 × 1."""
    name = "dreamnet" if short else "googlenet"
    found = measure_single(
        engine,
        network(name),
        TAPS[name],
        size=(288, 512) if short else (576, 1024),
        precisions=describe(engine.device).precisions,
        schedule=replace(GOOGLE, steps=1) if short else GOOGLE,
    )
    for precision in found.times:
        if precision != NAIVE:
            target = None if short else STEP_TARGETS.get(precision)
            yield figure("step", f"{name}, {precision}, over naive", found.speedup(precision), "×", target)
            yield figure("step", f"{name}, {precision}, over naive, CPU time", found.cpu_speedup(precision), "×")
            yield figure("step", f"{name}, {precision}", found.rate(precision).scaled(1e-6), "Mpx/s")


def mixed(engine: Engine, *, short: bool) -> Iterator[Figure]:
    """The embedded network, 64 pictures (16 smaller ones if ``short``)."""
    found = measure_mixed(
        engine,
        network("dreamnet"),
        TAPS["dreamnet"],
        count=16 if short else 64,
        pixels=192 * 144 if short else 384 * 288,
        schedule=replace(GOOGLE, octaves=2) if short else GOOGLE,
    )
    name = f"{found.pictures} pictures of {found.sizes} sizes, over equal ones"
    yield figure("mixed", name, found.share, "%", MIXED_TARGET)


def overlap(engine: Engine, *, short: bool) -> Iterator[Figure]:
    """64 photos through ``deepdream run`` (16 if ``short``)."""
    found = measure_overlap(photos=16 if short else 64)
    yield Figure(
        measure="overlap",
        name=f"{found.photos} photos: the engine's share of time",
        value=found.busy_share,
        unit="%",
        target=OVERLAP_TARGET,
    )
    yield Figure(measure="overlap", name="a photo in the daemon", value=found.photo_seconds, unit="s")
    yield Figure(measure="overlap", name="a photo by the engine alone", value=found.engine_seconds, unit="s")


def batches(engine: Engine, *, short: bool) -> Iterator[Figure]:
    """Pictures at once over the naive script; the target holds for GPUs."""
    on_gpu = engine.device.torch_device.type == "cuda"
    rates = measure_rates(engine.device, describe(engine.device).precisions)
    for name in TAPS:
        found = measure_batches(
            lambda batch: Engine(device=engine.device.name, max_batch=batch),
            network(name),
            TAPS[name],
            rates,
            batches=(1, 8, 32, 128) if on_gpu else (1, 2),
            size=(576, 1024) if on_gpu and not short else (144, 256),
            schedule=GOOGLE if on_gpu else replace(GOOGLE, steps=1),
        )
        best = max(cell.speedup.median for cell in found.cells)
        for cell in found.cells:
            target = BATCH_TARGET if on_gpu and cell.speedup.median == best else None
            yield figure("batches", f"{name}, {cell.precision}, {cell.batch} at once", cell.speedup, "×", target)
            of_floor = f"{name}, {cell.precision}, {cell.batch} at once, of the floor"
            yield Figure(measure="batches", name=of_floor, value=cell.floor_share, unit="%")


def memory(engine: Engine, *, short: bool) -> Iterator[Figure]:
    """Peak memory of whole dreams, as the budget over what was used."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "memory.json"
        script = str(Path(__file__).with_name("bench_memory.py"))
        sizes = ["2"] if short else ["2", "8", "24", "100"]
        subprocess.run(
            [sys.executable, script, "--stages", "dream", "--megapixels", *sizes, "--json", str(file)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for row in json.loads(file.read_text()):
            budget = 2**30 + 48 * row["pixels"]
            name = f"{row['pixels'] / 1e6:.0f} Mpx: budget over peak ({row['peak'] / 2**20:.0f} MiB)"
            yield Figure(measure="memory", name=name, value=budget / row["peak"], unit="×", target=1.0)


MEASURES: Mapping[str, Callable[..., Iterator[Figure]]] = {
    "step": step,
    "mixed": mixed,
    "overlap": overlap,
    "batches": batches,
    "memory": memory,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    engine = Engine(device=chosen.device)
    machine = describe(engine.device)
    print(f"deepdream {machine.deepdream} on {machine.device} ({machine.processor}), {machine.threads} threads, "
          f"torch {machine.torch}")  # fmt: skip
    figures: list[Figure] = []
    for name in chosen.only:
        figures += MEASURES[name](engine, short=chosen.short)
        print(table(each for each in figures if each.measure == name), flush=True)
        if chosen.json is not None:
            data = {"machine": asdict(machine), "short": chosen.short, "figures": [each.to_dict() for each in figures]}
            chosen.json.write_text(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()

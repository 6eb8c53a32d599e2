"""What each measure of the engine gains on one picture: a step on all octaves, against the naive script.

    python tests/benchmarks/bench_step.py [--threads 1] [--repeats 7] [--size 576 1024] [--json FILE]

GoogLeNet with random weights to inception4c, 4 octaves. The ways take turns, so that what else the machine does hits
them alike; the ratios are medians over the turns, of wall time and of the process's CPU time. Each way has all the
measures of those above it.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import torch
from random_network import octave_sizes, pictures, random_network
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from deepdream_engine.benchmark.naive import Naive
from deepdream_engine.device import Device
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.records import Network

TAP = "inception4c"
Gradient = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One way: milliseconds for a step on all octaves, how many times quicker than the naive one, how exact."""

    way: str
    wall_ms: float
    cpu_ms: float
    wall_ratio: float
    cpu_ratio: float
    cosine: float


def ways(module: nn.Module) -> Mapping[str, Gradient]:
    """Return ways to the gradient of half the sum of squares of ``TAP``, each with one measure more."""
    device = Device("cpu")
    source = Network(key="bench", name="bench", load=lambda: copy.deepcopy(module))
    loaded = LoadedNetwork(source)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def plainly(body: nn.Module, layout: torch.memory_format) -> Gradient:
        body = copy.deepcopy(body).eval().requires_grad_(False).to(memory_format=layout)  # type: ignore[call-overload]
        return _by_autograd(lambda x: body(((x - mean) / std).contiguous(memory_format=layout))[TAP], nullcontext)

    def tapped(precision: str, *, packed: bool) -> Gradient:
        with mock.patch.object(Device, "packs_convolutions", device.packs_convolutions if packed else _never):
            network = TappedNetwork(loaded, (TAP,)).on(device, precision)
        return _by_autograd(lambda x: network(x)[TAP], lambda: device.autocast(precision))

    whole = create_feature_extractor(module, {TAP: TAP, "fc": "fc"}, suppress_diff_warning=True)
    cut = create_feature_extractor(module, {TAP: TAP}, suppress_diff_warning=True)
    return {
        "naive": Naive(source, TAP, torch.device("cpu")).gradient,
        "frozen": plainly(whole, torch.contiguous_format),
        "cut after the tap": plainly(cut, torch.contiguous_format),
        "channels last": plainly(cut, torch.channels_last),
        "batch norms folded": tapped("fp32", packed=False),
        "packed": tapped("fp32", packed=True),
        "bf16, packed": tapped("bf16", packed=True),
    }


def _never(*_: object) -> bool:
    return False


def _by_autograd(
    activations: Callable[[Tensor], Tensor], context: Callable[[], AbstractContextManager[None]]
) -> Gradient:
    def gradient(picture: Tensor) -> Tensor:
        picture = picture.detach().requires_grad_()
        with context():
            score = activations(picture).float().square().sum() / 2
            return torch.autograd.grad(score, picture)[0]

    return gradient


def measure(found: Mapping[str, Gradient], windows: list[Tensor], repeats: int) -> list[Timed]:
    """Time every way on all ``windows`` in turn, ``repeats`` times after one warm-up; the first way is the baseline."""
    wall: dict[str, list[float]] = {way: [] for way in found}
    cpu: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(1 + repeats):
        for way, gradient in found.items():
            started, worked = time.perf_counter(), time.process_time()
            for window in windows:
                gradient(window)
            wall[way].append(time.perf_counter() - started)
            cpu[way].append(time.process_time() - worked)
    first = next(iter(found))
    exact = found[first](windows[0]).flatten()

    def ratio(times: Mapping[str, list[float]], way: str) -> float:
        return statistics.median(base / own for base, own in zip(times[first][1:], times[way][1:], strict=True))

    return [
        Timed(
            way=way,
            wall_ms=1000 * statistics.median(wall[way][1:]),
            cpu_ms=1000 * statistics.median(cpu[way][1:]),
            wall_ratio=ratio(wall, way),
            cpu_ratio=ratio(cpu, way),
            cosine=float(nn.functional.cosine_similarity(gradient(windows[0]).flatten(), exact, dim=0)),
        )
        for way, gradient in found.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--size", type=int, nargs=2, default=(576, 1024), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    module = random_network("googlenet", {"init_weights": False, "aux_logits": False, "transform_input": True})
    height, width = chosen.size
    rows = measure(ways(module), pictures(octave_sizes((height, width))), chosen.repeats)
    print(f"{width} × {height}, 4 octaves, {chosen.threads} threads, medians of {chosen.repeats}")
    print(f"{'':20}{'wall':>9}{'':>8}{'CPU':>9}{'':>8}   cosine to the naive gradient")
    for row in rows:
        print(
            f"{row.way:20}{row.wall_ms:6.0f} ms{row.wall_ratio:6.2f} ×{row.cpu_ms:6.0f} ms{row.cpu_ratio:6.2f} ×"
            f"   {row.cosine:.6f}"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps({"threads": chosen.threads, "rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()

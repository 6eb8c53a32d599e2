"""What the engine's tests share: a tiny real network, the embedded one, and pictures made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import DreamJob, Engine, Network, Objective, Program, Schedule
from deepdream_engine.memory import Memory
from deepdream_plugins.builtin import dreamnet


def tiny_network() -> nn.Module:
    """Two blocks with everything that makes cutting hard: batch norms, in-place ReLUs, a head behind the taps."""
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(3, 8, 3, padding=1, bias=False))
    net.add_module("bn1", nn.BatchNorm2d(8))
    net.add_module("relu1", nn.ReLU(inplace=True))
    net.add_module("pool", nn.AvgPool2d(2))
    net.add_module("conv2", nn.Conv2d(8, 12, 3, padding=1))
    net.add_module("relu2", nn.ReLU(inplace=True))
    net.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)))
    bn = net.get_submodule("bn1")
    assert isinstance(bn, nn.BatchNorm2d)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    bn.running_mean.normal_()
    bn.running_var.uniform_(0.5, 2)
    return net


TINY = Network(key="tiny", name="tiny", load=tiny_network, min_side_px=8, aliases={"first/output": "relu1"})
DREAMNET = Network(key="dreamnet", name="dreamnet", load=lambda: dreamnet.load(None))


def layer_l2(tap: str) -> Objective:
    """Half the sum of squares of a tap's activations, per picture."""
    return Objective(
        key=("l2", tap),
        taps=(tap,),
        score=lambda activations, _: activations[tap].square().sum((1, 2, 3)) / 2,
    )


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(device="cpu")


@pytest.fixture
def clouds() -> Callable[..., Tensor]:
    """Smooth noise ``(3, height, width)`` in [0, 1]: something for a network to see shapes in."""

    def paint(height: int, width: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        layers = [
            nn.functional.interpolate(
                torch.rand(1, 3, 4 * 2**octave, 4 * 2**octave, generator=generator),
                (height, width),
                mode="bicubic",
            )
            / 2**octave
            for octave in range(4)
        ]
        return (sum(layers[1:], layers[0])[0] / 1.875).clamp(0, 1)

    return paint


def job(
    pixels: Tensor, *, network: Network = TINY, tap: str = "relu2", seed: int = 0, **schedule: int | float
) -> DreamJob:
    """A short dream of ``pixels``."""
    return DreamJob(
        pixels=pixels,
        program=Program(network=network, objective=layer_l2(tap)),
        schedule=Schedule(**{"octaves": 2, "steps": 3, **schedule}),  # type: ignore[arg-type]
        seed=seed,
    )


def with_schedule(job: DreamJob, **changes: object) -> DreamJob:
    """The same job with another schedule."""
    return replace(job, schedule=replace(job.schedule, **changes))  # type: ignore[arg-type]


class SharedPasses(Memory):
    """The memory policy of an accelerator, on the CPU: windows of several pictures share passes."""

    pictures = 8
    granule_px = 16


def sharing_engine(**options: int) -> Engine:
    """An engine that puts windows of several pictures into one pass, as on a GPU."""
    engine = Engine(device="cpu", **options)  # type: ignore[arg-type]
    tile_px = options.get("tile_px")
    engine.memory = SharedPasses(engine.device, max_batch=8, tile_px=tile_px, memory_gib=None)
    return engine

"""Small real networks in every form that ``[models.NAME]`` takes, and one dream of each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from deepdream_engine import DreamJob, Engine, Network, Objective, Program, Schedule
from deepdream_plugins import ModelSpec
from deepdream_plugins.own_models import own_plugin


class Block(nn.Module):
    """A residual block with what makes cutting hard: one ReLU used twice, in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        y: Tensor = self.relu(self.bn(self.conv(x)) + x)
        return y


class Small(nn.Module):
    """Stem, two stages, head: some 5,000 weights; taps ``stem``, ``stages.0``, ``stages.1``, ``head``."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.stages = nn.Sequential(Block(8), nn.Sequential(nn.Conv2d(8, 12, 2, stride=2), Block(12)))
        self.head = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return y


def small(classes: int = 5) -> nn.Module:
    """A builder, for ``builder = "tests.plugins.own_networks:small"``."""
    return Small(classes)


def no_network() -> int:
    """A builder that returns something else."""
    return 3


def needy(size: int) -> nn.Module:
    """A builder that cannot do without an argument."""
    return Small(size)


def broken(**_arguments: object) -> nn.Module:
    """A builder that fails."""
    raise ValueError("these weights are elsewhere")


def seeded() -> Small:
    """The same network every time, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small().eval()


def export(path: Path, module: nn.Module | None = None, *, dynamic: bool = True) -> Path:
    """Save a network by ``torch.export``."""
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if dynamic else None
    program = torch.export.export(
        module or seeded(), (torch.rand(2, 3, 64, 80),), dynamic_shapes=(sizes,) if sizes else None
    )
    torch.export.save(program, path)
    return path


def script(path: Path, module: nn.Module | None = None, *, traced: bool = False) -> Path:
    """Save a network as TorchScript."""
    network = module or seeded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        made: Any = torch.jit.trace(network, torch.rand(1, 3, 64, 64)) if traced else torch.jit.script(network)
        made.save(str(path))
    return path


def spec_of(base_dir: Path, **table: object) -> ModelSpec:
    """The model of ``[models.mine]``."""
    plugin: Any = own_plugin({"mine": table}, base_dir)
    (spec,) = plugin.deepdream_models()
    assert isinstance(spec, ModelSpec)
    return spec


def network_of(spec: ModelSpec) -> Network:
    return Network(
        key=(spec.name, id(spec)),
        name=spec.name,
        load=lambda: spec.load(None),
        mean=spec.mean,
        std=spec.std,
        min_side_px=spec.min_side_px,
    )


def dream(spec: ModelSpec, tap: str | None = None) -> Tensor:
    """How much one step of one dream of an odd size changes the picture, ``(3, 61, 83)``."""
    chosen = tap or spec.default_tap

    def score(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
        return activations[chosen].square().flatten(1).sum(1) / 2

    pixels = torch.rand(3, 61, 83, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    program = Program(network=network_of(spec), objective=Objective(key=chosen, taps=(chosen,), score=score))
    job = DreamJob(pixels=pixels, program=program, schedule=Schedule(octaves=1, steps=1, jitter_px=0))
    return Engine(device="cpu").dream([job])[0].pixels - pixels

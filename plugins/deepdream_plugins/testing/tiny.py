"""A network small enough to dream in milliseconds, and pictures for it: real ones, made from seeds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.records import Network
from deepdream_plugins.records import ModelSpec, TapNote
from deepdream_plugins.weights import fit, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepdream_engine.engine import Engine

CLASSES = ("meadow", "sky", "sea", "stone", "sand")
SIDE_PX = 40
"""Of the pictures that checks dream, rows and columns."""


def tiny_network() -> nn.Module:
    """Return the network: the taps ``edges`` (8 channels), ``shapes`` (12, half the size) and ``logits`` (5 classes).

    Its weights come from a seed. Activations have both signs and a slope everywhere, so that a score which is of any
    use has a gradient, and one that takes roots of them is found out.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential()
        net.add_module("edges", nn.Conv2d(3, 8, 5, padding=2))
        net.add_module("bent", nn.ELU())
        net.add_module("halved", nn.AvgPool2d(2))
        net.add_module("shapes", nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.ELU()))
        net.add_module("classes", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, len(CLASSES))))
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight, gain=2.0)  # so that no channel is nearly blind
    return net.eval()


def _load(weights: Path | None) -> nn.Module:
    net = tiny_network()
    return net if weights is None else fit(net, read_state_dict(weights), model="tiny", source=str(weights))


TINY = ModelSpec(
    name="tiny",
    help="A few random filters, for tests",
    load=_load,
    build=tiny_network,
    default_tap="shapes",
    weights="made from a seed",
    min_side_px=8,
    taps=(TapNote(name="edges", shows="coloured edges"), TapNote(name="shapes", shows="blots")),
    classes=lambda: CLASSES,
)


def network_of(spec: ModelSpec) -> Network:
    """Return the engine's view of a model with its own weights."""
    return Network(
        key=("tested", spec.name),
        name=spec.name,
        load=lambda: spec.load(None),
        mean=spec.mean,
        std=spec.std,
        min_side_px=spec.min_side_px,
        aliases=spec.aliases,
    )


@cache
def engine() -> Engine:
    """Return the engine that all checks on the tiny network share; the CPU's, so that results do not depend on the
    machine's devices."""
    from deepdream_engine.engine import Engine

    return Engine(device="cpu", max_batch=4)


def a_picture(height: int = SIDE_PX, width: int = SIDE_PX, seed: int = 0) -> Tensor:
    """Return soft clouds of colour, float32 RGB ``(3, height, width)`` from 0.05 to 0.95: something to see shapes in,
    with room above and below."""
    import torch
    from torch.nn.functional import interpolate

    random = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for octave in range(4):
        coarse = torch.rand(1, 3, 3 * 2**octave, 3 * 2**octave, generator=random)
        total += interpolate(coarse, (height, width), mode="bilinear", align_corners=False) / 2**octave
    low, high = total.aminmax()
    return total[0].sub_(low).div_((high - low).clamp_(min=1e-6)).mul_(0.9).add_(0.05)

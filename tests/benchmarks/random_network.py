"""A network and pictures without weights or photos at hand: random, but as large and as lively as real ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Size = tuple[int, int]


def octave_sizes(size: Size, octaves: int = 4, scale: float = 1.4) -> list[Size]:
    """Return the sizes of the pyramid's pictures, the smallest first."""
    height, width = size
    return [(round(height / scale**above), round(width / scale**above)) for above in reversed(range(octaves))]


def random_network(name: str, arguments: dict[str, object] | None = None) -> nn.Module:
    """Return a network of torchvision with random weights whose activations neither vanish nor explode."""
    import torchvision

    torch.manual_seed(0)
    module: nn.Module = torchvision.models.get_model(name, weights=None, **(arguments or {}))
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average: statistics of the pictures below
    with torch.no_grad():
        module.train()(torch.randn(4, 3, 224, 224))
    return module.eval()


def pictures(sizes: Sequence[Size], device: str = "cpu") -> list[Tensor]:
    """Return noise ``(1, 3, H, W)`` in [0, 1] for each of ``sizes``."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, *size, generator=generator).to(device) for size in sizes]

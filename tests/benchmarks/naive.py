"""DeepDream as the published PyTorch scripts write it: what the engine's speed is compared with.

The whole network runs forward with a hook on the layer, its parameters require gradients, tensors are contiguous, and
``loss.backward()`` leaves the gradient in the picture, which is normalised by its mean absolute value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Size = tuple[int, int]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NaiveDreamer:
    """Dreams one picture at a time through ``module``, half the sum of squares of the layer ``tap``."""

    def __init__(self, module: nn.Module, tap: str) -> None:
        self.module = module.eval().requires_grad_()
        self.device = next(module.parameters()).device
        self.mean = torch.tensor(_MEAN, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(_STD, device=self.device).view(1, 3, 1, 1)
        self._seen: list[Tensor] = []
        module.get_submodule(tap).register_forward_hook(lambda _module, _inputs, output: self._seen.append(output))

    def gradient(self, picture: Tensor) -> Tensor:
        """Return the gradient ``(N, 3, H, W)`` at ``picture`` in [0, 1]."""
        x = ((picture - self.mean) / self.std).detach().requires_grad_()
        self._seen.clear()
        self.module(x)
        self.module.zero_grad()
        (self._seen[0].square().sum() / 2).backward()
        assert x.grad is not None
        return x.grad / self.std

    def step(self, picture: Tensor, step_size: float = 1.5 / 255) -> Tensor:
        """Return ``picture`` one step on."""
        gradient = self.gradient(picture)
        return (picture + step_size * gradient / gradient.abs().mean()).clamp(0, 1)


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

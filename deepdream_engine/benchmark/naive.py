"""The baseline: a dream in the style of the scripts that have been published for PyTorch, one picture at a time.

A hook catches the layer's activations, the whole network runs, its parameters require gradients, and ``backward``
computes them all; layout and arithmetic are PyTorch's defaults (on NVIDIA's GPUs convolutions round to TF32). The
method and its numbers are the engine's own, so both make the same picture, up to rounding: a test compares them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdream_engine.network import LoadedNetwork
from deepdream_engine.pyramid import octave_bases, octaves_of, resize
from deepdream_engine.records import Network, Schedule


class Naive:
    """Dreams of ``network`` at ``tap``, which must be a module of it or an alias of one, on ``device``."""

    def __init__(self, network: Network, tap: str, device: torch.device) -> None:
        self._network = network
        self._module = network.load().eval().requires_grad_(True).to(device)
        self._device = device
        self._seen: Tensor | None = None
        layer = self._module.get_submodule(self._name_of(tap))
        layer.register_forward_hook(self._keep)
        self._mean = torch.tensor(network.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(network.std, device=device).view(1, 3, 1, 1)

    def _name_of(self, tap: str) -> str:
        modules = dict(self._module.named_modules())
        name = self._network.aliases.get(tap, tap)
        if name not in modules:
            name = LoadedNetwork(self._network).node_of(tap)
        while name not in modules:  # what no hook can catch counts as what it lies in, at last the network
            name = name.rpartition(".")[0]
        return name

    def _keep(self, _module: object, _inputs: object, output: Tensor) -> None:
        self._seen = output

    def dream(self, picture: Tensor, schedule: Schedule, seed: int = 0) -> Tensor:
        """Return the dream ``(3, H, W)`` of ``picture``, both on the CPU.

        Of ``schedule`` it knows octaves, their scale, steps, step size and jitter.
        """
        source = picture[None].to(self._device)
        octaves = octaves_of((picture.shape[1], picture.shape[2]), schedule, self._network.min_side_px)
        random = torch.Generator().manual_seed(seed)
        detail: Tensor | None = None
        for octave, base in zip(octaves, octave_bases(source, [octave.size for octave in octaves]), strict=True):
            dream = base.clone() if detail is None else base + resize(detail, octave.size)
            shifts = torch.randint(-octave.jitter_px, octave.jitter_px + 1, (octave.steps, 2), generator=random)
            for down, right in shifts.tolist():
                shifted = self.step(torch.roll(dream, (down, right), (2, 3)), octave.step_size)
                dream = torch.roll(shifted, (-down, -right), (2, 3))
            detail = dream - base
        return dream[0].cpu()

    def step(self, picture: Tensor, step_size: float) -> Tensor:
        """Return ``picture`` ``(1, 3, H, W)`` after one step of ``step_size`` levels."""
        gradient = self.gradient(picture)
        return (picture + step_size / 255 * gradient / gradient.abs().mean()).clamp(0, 1)

    def gradient(self, picture: Tensor) -> Tensor:
        """Return the gradient ``(1, 3, H, W)`` of half the layer's sum of squares at ``picture`` in [0, 1]."""
        picture = picture.detach().clone().requires_grad_()
        self._module.zero_grad()
        self._module((picture - self._mean) / self._std)
        assert self._seen is not None  # the hook has run
        loss = self._seen.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        self._seen = None
        assert picture.grad is not None
        return picture.grad

"""Gradient ascent on a batch of canvases of one size: the step loop.

The method is that of Google's DeepDream notebook (Mordvintsev, Olah and Tyka, 2015): shift the canvas cyclically by a
random jitter, take the gradient of the objective with respect to it, divide by its mean absolute value, add, clip.
Everything is per picture: its shifts, its gradient's normalisation, its step size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.device import Device
from deepdream_engine.network import TappedNetwork
from deepdream_engine.records import Score
from deepdream_engine.tiling import by_tiles

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Ascent:
    """What a step needs and octaves have in common; ``step_size`` is ``(N, 1, 1, 1)`` in units of full scale."""

    network: TappedNetwork
    score: Score
    options: Mapping[str, object]
    step_size: Tensor
    tile_px: int
    device: Device
    precision: str

    def climb(self, canvas: Tensor, shifts: Tensor, after_step: Callable[[], None]) -> tuple[Tensor, Tensor]:
        """Return ``canvas`` ``(N, 3, H, W)`` after as many steps as ``shifts`` ``(steps, N, 2)`` has, and the sum of
        the gradients' mean absolute values ``(N,)``, which is zero where nothing ever moved."""
        moved = canvas.new_zeros(len(canvas))
        for shift in shifts.tolist():
            gradient = roll_each(by_tiles(self.gradient, roll_each(canvas, shift), self.tile_px), shift, back=True)
            mean_abs = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
            canvas = (canvas + gradient * (self.step_size / mean_abs.clamp_min(_TINY))).clamp_(0, 1)
            moved += mean_abs.flatten()
            after_step()
        return canvas, moved

    def gradient(self, window: Tensor) -> Tensor:
        """Return the gradient of each picture's score with respect to ``window`` ``(N, 3, h, w)``."""
        window = window.detach().requires_grad_()
        with torch.enable_grad(), self.device.autocast(self.precision):
            # Pictures do not share activations, so the gradient of the sum is each picture's own gradient.
            total = self.score(self.network(window), self.options).sum()  # (N,) to ()
        return torch.autograd.grad(total, window)[0]


def draw_shifts(generators: list[torch.Generator], steps: int, largest: int | list[int]) -> Tensor:
    """Return cyclic shifts ``(steps, N, 2)`` (rows down, columns right), uniform in [-largest, largest] pixels.

    Each picture draws from its own generator, so its shifts do not depend on its neighbours in the batch.
    """
    bounds = [largest] * len(generators) if isinstance(largest, int) else largest
    return torch.stack(
        [
            torch.randint(-bound, bound + 1, (steps, 2), generator=generator)
            for generator, bound in zip(generators, bounds, strict=True)
        ],
        dim=1,
    )


def roll_each(pictures: Tensor, shifts: list[list[int]], *, back: bool = False) -> Tensor:
    """Shift each of ``(N, C, H, W)`` cyclically by its own ``(rows, columns)``; ``back`` undoes the shift."""
    sign = -1 if back else 1
    rolled = torch.empty_like(pictures)
    for index, (rows, columns) in enumerate(shifts):
        rolled[index] = pictures[index].roll((sign * rows, sign * columns), dims=(1, 2))
    return rolled

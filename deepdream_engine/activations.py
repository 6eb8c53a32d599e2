"""What an objective sees: the activations of one pass, and where in their pictures they lie.

Both classes are mappings from tap names to activations, so that a simple score needs to know nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Activations(Mapping[str, Tensor]):
    """The activations of the windows of one pass: ``activations[tap]`` is ``(N, C, h, w)``, or ``(N, K)`` where the
    network has no places any more (``logits``).

    ``pixels`` ``(N, 3, H, W)`` are the windows themselves, which the gradient is taken of; ``source`` are the same
    windows of the source pictures; ``planes[name]`` ``(N, 1, H, W)`` those of the jobs' planes. ``frame`` ``(N, 2, 3)``
    tells, for rows and columns, where each window begins in its canvas, how long the canvas is, and how wide the
    mirrored margin is on each side of the picture in it; canvases go on cyclically beyond their borders.
    """

    by_tap: Mapping[str, Tensor]
    pixels: Tensor
    frame: Tensor
    source: Tensor | None = None
    planes: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, tap: str) -> Tensor:
        return self.by_tap[tap]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_tap)

    def __len__(self) -> int:
        return len(self.by_tap)

    def places(self, tap: str) -> Tensor:
        """Return where the cells of ``tap`` lie: ``(N, 2, h, w)``, the row and column of each cell's centre as shares
        of its picture's height and width: in [0, 1), or outside it in the margin."""
        cells = self.by_tap[tap].shape[2:]
        axes = []
        for axis, count in enumerate(cells):
            begin, length, margin = self.frame[:, axis, :, None].unbind(1)  # (N, 1) each
            centres = torch.arange(count, device=self.frame.device, dtype=self.frame.dtype) + 0.5
            pixels = (begin + centres * (self.pixels.shape[2 + axis] / count)).remainder(length)  # (N, count)
            axes.append((pixels - margin) / (length - 2 * margin))
        rows, columns = axes
        return torch.stack(
            [rows[:, :, None].expand(-1, -1, cells[1]), columns[:, None, :].expand(-1, cells[0], -1)], dim=1
        )

    def masked(self, plane: str) -> Activations:
        """Return the same with the activations of every place multiplied by ``planes[plane]`` there; taps without
        places stay as they are."""
        mask = self.planes[plane]
        shaded = {
            tap: seen * functional.adaptive_avg_pool2d(mask, (seen.shape[2], seen.shape[3])) if seen.ndim == 4 else seen
            for tap, seen in self.by_tap.items()
        }
        return replace(self, by_tap=shaded)


@dataclass(frozen=True, kw_only=True)
class Look(Mapping[str, Tensor]):
    """One picture looked at before its first step: ``look[tap]`` is ``(1, C, h, w)`` (or ``(1, K)``), without gradient,
    of the whole picture, reduced to a few hundred pixels if it is larger.

    ``guides[name]`` maps taps to the activations of the job's guide of that name. ``strength(score)`` returns the
    mean absolute gradient ``()`` of ``score(activations) -> (1,)`` with respect to the picture, for weighing scores
    against each other. ``seed`` is the job's.
    """

    activations: Activations
    guides: Mapping[str, Mapping[str, Tensor]]
    strength: Callable[[Callable[[Activations], Tensor]], Tensor]
    seed: int

    def __getitem__(self, tap: str) -> Tensor:
        return self.activations[tap]

    def __iter__(self) -> Iterator[str]:
        return iter(self.activations)

    def __len__(self) -> int:
        return len(self.activations)

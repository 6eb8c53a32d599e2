"""What the objectives share: the layer they look at, its channels, and how much of the canvas a window shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.records import Option, Tap

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations

Shapes = Mapping[str, tuple[int, ...]]

LAYER = Option(name="layer", type=Tap, help="the tap whose activations grow; the model's default if absent")


def share(activations: Activations) -> Tensor:
    """Return how much of its canvas each window shows, by area ``(N,)``: 1 for a whole picture.

    A mean over a window counts by it, or the gradient of a mean would depend on the size of the tiles.
    """
    import torch

    canvas = activations.frame[:, :, 1].prod(dim=1)  # (N, 2) lengths -> (N,)
    height, width = activations.pixels.shape[2:]
    return torch.full_like(canvas, height * width) / canvas


def channel_means(seen: Tensor) -> Tensor:
    """Return the mean of each channel ``(N, C)``; a layer without places is its own."""
    return seen.mean(dim=(2, 3)) if seen.ndim == 4 else seen


def check_channel(shapes: Shapes, layer: str, name: str, channel: int) -> None:
    """Refuse a channel, given as the option ``name``, that the layer has not."""
    count = shapes[layer][1]
    if not 0 <= channel < count:
        raise BadOption(f"{name} {channel}: the layer {layer!r} has {count}; choose one from 0 to {count - 1}.")


def check_places(shapes: Shapes, layer: str) -> None:
    """Refuse a layer whose activations have no rows and columns any more."""
    if len(shapes[layer]) != 4:
        raise BadOption(
            f"layer {layer!r} has {shapes[layer][1]} values without places; choose one with rows and columns, which "
            f"come before the network's last pooling."
        )

"""One neuron: a single cell of one channel, at a place of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.objectives.common import LAYER, Shapes, check_channel, check_places
from deepdream_plugins.records import ObjectiveSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations


def neuron(activations: Activations, *, layer: str, channel: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The activation of the cell over the point ``(x, y)`` of the picture, or 0 in a window that does not show it.

    It is found by whole pixels: as shares of the picture, a point between two windows could round into neither.
    """
    import torch

    seen = activations[layer]
    inside, cell = _cell(activations, 0, y, seen.shape[2])
    inside_columns, column = _cell(activations, 1, x, seen.shape[3])
    cell = cell * seen.shape[3] + column  # (N,), in reading order
    plane = seen.gather(1, channel.long()[:, None, None, None].expand(-1, 1, *seen.shape[2:]))  # (N, 1, h, w)
    value = plane.flatten(1).gather(1, cell[:, None])[:, 0]
    return torch.where(inside & inside_columns, value, torch.zeros_like(value))


def _cell(activations: Activations, axis: int, point: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return whether each window shows the pixel at ``point`` of the picture along ``axis``, and the cell, of
    ``count``, over it: ``(N,)`` each.

    A window longer than its canvas shows some pixels twice; the one nearer to its middle is meant, because the rest
    of the window is context, whose gradient is thrown away.
    """
    begin, length, margin = activations.frame[:, axis].unbind(1)  # (N,) each
    pixels = activations.pixels.shape[2 + axis]
    last = (length - margin).ceil() - 1  # of the picture; at 1, the point lies just beyond it
    pixel = (margin + point * (length - 2 * margin)).floor().clamp(max=last)
    offset = (pixel - begin).remainder(length)
    offset = offset + length * (((pixels - 1) / 2 - offset) / length).round()
    inside = (offset >= 0) & (offset < pixels)
    return inside, (offset.clamp(0, pixels - 1).long() * count).div(pixels, rounding_mode="floor")


def check_neuron(shapes: Shapes, *, layer: str, channel: int, x: float, y: float) -> None:
    """Refuse a layer without places and a channel that it has not."""
    del x, y  # within their bounds, any place will do
    check_places(shapes, layer)
    check_channel(shapes, layer, "channel", channel)


def _share(name: str, help: str) -> Option:
    return Option(name=name, type=float, default=0.5, minimum=0, maximum=1, per_picture=True, help=help)


OBJECTIVES = (
    ObjectiveSpec(
        name="neuron",
        help="One feature in one place: a single cell of one channel, by default in the middle; a cell that a ReLU has "
        "turned off on the picture cannot grow",
        if_zero="The cell at x = {x:g}, y = {y:g} of channel {channel} is off on this picture, as behind a ReLU: "
        "choose another x and y, another channel, or a layer before the ReLU.",
        score=neuron,
        is_sum=True,  # of one cell: its gradient is the same however large the picture is around it
        check=check_neuron,
        options=(
            LAYER,
            Option(name="channel", type=int, minimum=0, per_picture=True, help="its number, from 0"),
            _share("x", "where, as a share of the picture's width, from the left"),
            _share("y", "where, as a share of the picture's height, from the top"),
        ),
    ),
)

"""A whole layer: everything that it sees grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.objectives.common import LAYER, Shapes, check_places, share
from deepdream_plugins.records import ObjectiveSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations


def l2(activations: Activations, *, layer: str) -> Tensor:
    """Half the sum of squares: its gradient is the activations themselves, so the strong grow stronger."""
    return activations[layer].square().sum(dim=_all_of(activations[layer])) / 2  # (N, C, h, w) -> (N,)


def mean(activations: Activations, *, layer: str) -> Tensor:
    """The mean over channels and places."""
    return activations[layer].mean(dim=_all_of(activations[layer])) * share(activations)


def mean_square(activations: Activations, *, layer: str, border: int) -> Tensor:
    """The sum of the squares of all cells but the outermost ``border`` ones, divided by the number of all cells, as
    in Keras's DeepDream example (Chollet): those along the border see mostly padding."""
    seen = activations[layer]
    count = seen[0].numel()
    if border:
        height, width = seen.shape[2:]
        seen = seen[:, :, border : height - border, border : width - border]
    return seen.square().sum(dim=_all_of(seen)) / count * share(activations)


def check_border(shapes: Shapes, *, layer: str, border: int) -> None:
    """Refuse a border that leaves no cell."""
    if not border:
        return
    check_places(shapes, layer)
    height, width = shapes[layer][2:]
    most = (min(height, width) - 1) // 2
    if border > most:
        raise BadOption(
            f"border {border}: on this picture the layer {layer!r} has {height} × {width} cells, and none would be "
            f"left; choose one from 0 to {most}, or an earlier layer."
        )


def _all_of(seen: Tensor) -> tuple[int, ...]:
    """All dimensions but the first; flattening instead would copy activations that lie channels-last."""
    return tuple(range(1, seen.ndim))


OBJECTIVES = (
    ObjectiveSpec(
        name="l2",
        help="Whatever the layer sees, more of it: half the sum of squares, as in Google's notebook",
        score=l2,
        is_sum=True,
        options=(LAYER,),
    ),
    ObjectiveSpec(
        name="mean",
        help="All of the layer evenly: the mean activation, calmer than l2",
        score=mean,
        options=(LAYER,),
    ),
    ObjectiveSpec(
        name="mean_square",
        help="Whatever the layer sees, more of it: the mean square, as in Keras's example",
        score=mean_square,
        check=check_border,
        options=(
            LAYER,
            Option(
                name="border",
                type=int,
                default=0,
                minimum=0,
                help="outermost cells of the layer that do not count, on each side; Keras uses 2",
            ),
        ),
    ),
)

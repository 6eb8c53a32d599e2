"""A direction in the space of a layer's activations, such as one that separates pictures of two kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.objectives.common import LAYER, Shapes, share
from deepdream_plugins.records import ObjectiveSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations, Look


def direction(activations: Activations, *, layer: str, unit: Tensor, cosine_power: Tensor, **_: object) -> Tensor:
    """The mean over places of ``dot * max(0.1, cosine) ** cosine_power``, with the dot product of the activations and
    the unit vector ``unit`` ``(N, C)`` and the cosine of the angle between them (lucid's ``direction``)."""
    seen = activations[layer].flatten(2) if activations[layer].ndim == 4 else activations[layer][:, :, None]
    dot = (seen * unit[:, :, None]).sum(dim=1)  # (N, C, P) -> (N, P)
    # A place where nothing is active has no angle; the root of its zero would have an infinite slope.
    length = seen.square().sum(dim=1).clamp(min=1e-8).sqrt()
    weight = (dot / length).clamp(min=0.1) ** cosine_power[:, None]
    return (dot * weight).mean(dim=1) * share(activations)


def prepare_direction(look: Look, *, layer: str, vector: Sequence[float], **_: object) -> Mapping[str, Tensor]:
    """Return the vector at length 1, ``unit`` ``(C,)``."""
    unit = look[layer].new_tensor(vector)
    return {"unit": unit / unit.norm()}


def check_direction(shapes: Shapes, *, layer: str, vector: Sequence[float], **_: object) -> None:
    """Refuse a vector that does not have one number per channel, or that points nowhere."""
    count = shapes[layer][1]
    if len(vector) != count:
        raise BadOption(
            f"vector of {len(vector)} number{'s' * (len(vector) != 1)}: the layer {layer!r} has {count} channels; "
            f"give {count} numbers, one for each channel."
        )
    if not any(vector):
        raise BadOption("vector of zeros: it has no direction; give at least one channel another number.")


OBJECTIVES = (
    ObjectiveSpec(
        name="direction",
        help="A mixture of features: activations along a vector with one number per channel",
        score=direction,
        check=check_direction,
        prepare=prepare_direction,
        options=(
            LAYER,
            Option(name="vector", type=float, many=True, help="one number per channel; its length does not matter"),
            Option(
                name="cosine_power",
                type=float,
                default=0.0,
                minimum=0,
                maximum=10,
                per_picture=True,
                help="how much it matters that nothing but the direction is active; lucid uses 0 to 2",
            ),
        ),
    ),
)

"""A class that the network was trained to tell: what it would call the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.objectives.common import Shapes, channel_means, share
from deepdream_plugins.records import ClassName, ObjectiveSpec, Option, Tap

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations

_OPTIONS = (
    Option(name="layer", type=Tap, default="logits", help="the tap with one value per class: the network's output"),
    Option(
        name="label",
        type=ClassName,
        per_picture=True,
        help='the class, by its name or number; "2" in quotes is a name, if a class is called so',
    ),
)


def class_logit(activations: Activations, *, layer: str, label: Tensor) -> Tensor:
    """The network's evidence for class ``label[n]`` on picture ``n``, whatever else it sees there."""
    return channel_means(activations[layer]).gather(1, label.long()[:, None])[:, 0] * share(activations)


def class_probability(activations: Activations, *, layer: str, label: Tensor) -> Tensor:
    """The probability of class ``label[n]`` on picture ``n``, in [0, 1], with the gradient of its logarithm.

    Both have the same maximum and the same direction on one window, but the probability's own gradient is as small
    as the probability, which for most classes of most pictures is nothing.
    """
    logarithm = channel_means(activations[layer]).log_softmax(dim=1).gather(1, label.long()[:, None])[:, 0]  # (N,)
    return (logarithm.detach().exp() + logarithm - logarithm.detach()) * share(activations)


def check_label(shapes: Shapes, *, layer: str, label: int) -> None:
    """Refuse a layer with places, which is no output of a classifier, and a class that the network has not."""
    if len(shapes[layer]) != 2:
        raise BadOption(
            f"layer {layer!r} has rows and columns, so its channels are not the classes; leave it out for the "
            f"network's output, 'logits'."
        )
    count = shapes[layer][1]
    if not 0 <= label < count:
        raise BadOption(f"label {label}: the layer {layer!r} has {count} classes; choose one from 0 to {count - 1}.")


OBJECTIVES = (
    ObjectiveSpec(
        name="class_logit",
        help="One class of the network's, whatever else it sees: its logit",
        score=class_logit,
        check=check_label,
        options=_OPTIONS,
    ),
    ObjectiveSpec(
        name="class_probability",
        help="One class of the network's, and none of the others: its probability",
        score=class_probability,
        check=check_label,
        options=_OPTIONS,
    ),
)

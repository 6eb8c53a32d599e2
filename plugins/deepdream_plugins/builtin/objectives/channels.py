"""Some channels of a layer: the mean activation of one, of those in a list or a range, or of those that this picture
excites most or least.

Which ones they are is prepared for each picture as a vector of weights, so that pictures with different choices share
passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.objectives.common import LAYER, Shapes, channel_means, check_channel, share
from deepdream_plugins.records import ObjectiveSpec, Option

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations, Look

_COUNT = Option(name="k", type=int, default=3, minimum=1, per_picture=True, help="how many channels")


def one(activations: Activations, *, layer: str, channel: Tensor) -> Tensor:
    """The mean of channel ``channel[n]`` of picture ``n``, picked by index so that the device never waits."""
    means = channel_means(activations[layer])  # (N, C)
    return means.gather(1, channel.long()[:, None])[:, 0] * share(activations)  # (N,)


def several(activations: Activations, *, layer: str, weights: Tensor, **_: object) -> Tensor:
    """The mean of the channels that ``weights`` ``(N, C)`` marks; the options that chose them are not needed here."""
    return (channel_means(activations[layer]) * weights).sum(dim=1) * share(activations)


def listed(look: Look, *, layer: str, channels: Iterable[int]) -> Mapping[str, Tensor]:
    """Mark the channels of a list; each counts once, however often it is there."""
    return _marked(look[layer], sorted(set(channels)))


def ranged(look: Look, *, layer: str, first: int, last: int) -> Mapping[str, Tensor]:
    """Mark the channels from ``first`` to ``last``, both included."""
    return _marked(look[layer], range(first, last + 1))


def ranked(look: Look, *, layer: str, k: int, by: str) -> Mapping[str, Tensor]:
    """Mark ``k`` channels: those with the ``strongest`` or ``weakest`` mean on this very picture, or ``random`` ones.

    Channels that are zero all over the picture come last in every order: they have no gradient, so a dream of them
    alone would never begin.
    """
    import torch

    means = channel_means(look[layer])[0]  # (C,)
    if by == "random":
        order = torch.randperm(len(means), generator=torch.Generator().manual_seed(look.seed)).to(means.device)
    else:
        order = means.argsort(descending=by == "strongest", stable=True)
    dead = (look[layer].transpose(0, 1).flatten(1) == 0).all(dim=1)[order]  # (C,)
    return _marked(look[layer], order[dead.long().argsort(stable=True)][:k].tolist())


def _marked(seen: Tensor, chosen: Iterable[int]) -> Mapping[str, Tensor]:
    """Return equal weights that sum to 1 for the ``chosen`` channels of ``(1, C, ...)``."""
    weights = seen.new_zeros(seen.shape[1])
    weights[list(chosen)] = 1
    return {"weights": weights / weights.sum()}


def check_one(shapes: Shapes, *, layer: str, channel: int) -> None:
    """Refuse a channel that the layer has not."""
    check_channel(shapes, layer, "channel", channel)


def check_list(shapes: Shapes, *, layer: str, channels: Iterable[int]) -> None:
    """Refuse an empty list, and channels that the layer has not."""
    chosen = tuple(channels)
    if not chosen:
        raise BadOption(f"channels []: name at least one, from 0 to {shapes[layer][1] - 1}.")
    for channel in chosen:
        check_channel(shapes, layer, "channels", channel)


def check_range(shapes: Shapes, *, layer: str, first: int, last: int) -> None:
    """Refuse a range that is empty or goes beyond the layer."""
    check_channel(shapes, layer, "first", first)
    check_channel(shapes, layer, "last", last)
    if last < first:
        raise BadOption(f"last {last}: it comes before first, {first}; choose from {first} to {shapes[layer][1] - 1}.")


def check_count(shapes: Shapes, *, layer: str, k: int) -> None:
    """Refuse more channels than the layer has."""
    count = shapes[layer][1]
    if not 1 <= k <= count:
        raise BadOption(f"k {k}: the layer {layer!r} has {count} channels; choose from 1 to {count}.")


def _ranking(name: str, help: str) -> ObjectiveSpec:
    return ObjectiveSpec(
        name=name,
        help=help,
        score=several,
        check=check_count,
        prepare=partial(ranked, by=name),
        options=(LAYER, _COUNT),
    )


OBJECTIVES = (
    ObjectiveSpec(
        name="channel",
        help="One feature everywhere: the mean activation of one channel of the layer",
        score=one,
        check=check_one,
        options=(
            LAYER,
            Option(name="channel", type=int, minimum=0, per_picture=True, help="its number, from 0"),
        ),
    ),
    ObjectiveSpec(
        name="channels",
        help="A few features together: the mean activation of a list of channels",
        score=several,
        check=check_list,
        prepare=listed,
        options=(LAYER, Option(name="channels", type=int, minimum=0, many=True, help="their numbers, from 0")),
    ),
    ObjectiveSpec(
        name="channel_range",
        help="Neighbouring features, such as one branch of an inception block: the mean of a range of channels",
        score=several,
        check=check_range,
        prepare=ranged,
        options=(
            LAYER,
            Option(name="first", type=int, minimum=0, per_picture=True, help="the first channel, from 0"),
            Option(name="last", type=int, minimum=0, per_picture=True, help="the last channel, included"),
        ),
    ),
    _ranking("strongest", "What the picture has most of already: the channels with the highest means on it"),
    _ranking("weakest", "What the picture has least of: the channels with the lowest means on it, except dead ones"),
    _ranking("random", "A surprise: channels drawn from the seed"),
)

"""The built-in objectives: what a dream can make more of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import ObjectiveSpec, Option, Tap

if TYPE_CHECKING:
    from torch import Tensor

_LAYER = Option(name="layer", type=Tap, help="the tap whose activations grow; the model's default if absent")


@hookimpl
def deepdream_objectives() -> Iterator[ObjectiveSpec]:
    """Yield them, the default first."""
    yield ObjectiveSpec(
        name="l2",
        help="Whatever the layer sees, more of it: half the sum of squares, as in Google's notebook",
        score=l2,
        options=(_LAYER,),
    )
    yield ObjectiveSpec(
        name="mean",
        help="All of the layer evenly: the mean activation, calmer than l2",
        score=mean,
        options=(_LAYER,),
    )
    yield ObjectiveSpec(
        name="channel",
        help="One feature everywhere: the mean activation of one channel of the layer",
        score=channel,
        check=check_channel,
        options=(
            _LAYER,
            Option(name="channel", type=int, minimum=0, per_picture=True, help="its number, from 0"),
        ),
    )


def l2(activations: Mapping[str, Tensor], *, layer: str) -> Tensor:
    """Half the sum of squares: its gradient is the activations themselves, so the strong grow stronger."""
    return activations[layer].square().sum(dim=(1, 2, 3)) / 2  # (N, C, H, W) -> (N,)


def mean(activations: Mapping[str, Tensor], *, layer: str) -> Tensor:
    """The mean over channels and places."""
    return activations[layer].mean(dim=(1, 2, 3))  # (N, C, H, W) -> (N,)


def channel(activations: Mapping[str, Tensor], *, layer: str, channel: Tensor) -> Tensor:
    """The mean of channel ``channel[n]`` of picture ``n``, picked by index so that the device never waits."""
    means = activations[layer].mean(dim=(2, 3))  # (N, C, H, W) -> (N, C)
    return means.gather(1, channel.long()[:, None])[:, 0]  # (N,)


def check_channel(shapes: Mapping[str, tuple[int, ...]], *, layer: str, channel: int) -> None:
    """Refuse a channel that the layer has not."""
    channels = shapes[layer][1]
    if channel >= channels:
        raise BadOption(f"channel {channel}: the layer {layer!r} has {channels}; choose one from 0 to {channels - 1}.")

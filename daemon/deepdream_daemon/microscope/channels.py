"""The layers of a network with the channels that are to be drawn of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepdream_daemon.layers import LayerInfo
from deepdream_daemon.microscope.studio import LOGITS
from deepdream_engine.errors import BadOption, unknown

_SURROUNDINGS = 0.15
"""What a step costs beside the network, which a picture of its first layers is spared: a share of the whole network."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of ``total`` channels; ``numbers`` are to be drawn, maybe none. ``depth`` goes from 0 to 1."""

    name: str
    shows: str
    total: int
    depth: float
    numbers: tuple[int, ...]

    @property
    def folder(self) -> str:
        """The layer's name as one of a folder."""
        return re.sub(r"[^\w.-]", "_", self.name)

    @property
    def pictures(self) -> str:
        """Where its pictures are, below the atlas."""
        return f"pictures/{self.folder}"

    def picture(self, number: int) -> str:
        """Where the picture of a channel is, below the atlas."""
        return f"{self.pictures}/{number:04}.jpg"

    @property
    def cost(self) -> float:
        """How long a picture of one of its channels takes, beside those of other layers."""
        return _SURROUNDINGS + self.depth


def plan(layers: Sequence[LayerInfo], classes: int, wanted: Sequence[str], channels: int | None) -> list[Layer]:
    """Return all layers, and the output at the end if it is of so many ``classes``: those that are ``wanted``, by any
    of their names, or all, with the numbers of at most ``channels`` channels, and the others without any.

    Raises ``BadOption`` for a name that is not there.
    """
    from deepdream_engine.microscope.eyes import sample

    found = {layer.name: (layer.shows, layer.channels, layer.depth) for layer in layers}
    names = {alias: layer.name for layer in layers for alias in (layer.name, *layer.aliases)}
    if classes:
        found.setdefault(LOGITS, ("the classes", classes, 1.0))
        names.setdefault(LOGITS, LOGITS)
    for name in wanted:
        if name not in names:
            raise BadOption(f"--layers: {unknown('layer', name, found)}")
    chosen = {names[name] for name in wanted} or set(found)
    return [
        Layer(
            name=name,
            shows=shows,
            total=total,
            depth=depth,
            numbers=tuple(sample(total, channels)) if name in chosen else (),
        )
        for name, (shows, total, depth) in found.items()
    ]

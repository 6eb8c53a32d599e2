"""The layers of a model as a newcomer needs them: name, shape, and what amplifying it tends to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_plugins.records import ModelSpec

if TYPE_CHECKING:
    from deepdream_engine.network import TapInfo

_BY_DEPTH = (
    (0.12, "edges and fine grain"),
    (0.30, "strokes, dots and textures"),
    (0.50, "patterns, scales and swirls"),
    (0.70, "eyes, arches and parts of things"),
    (0.88, "heads, animals and buildings"),
    (1.01, "whole things, loosely assembled"),
)


@dataclass(frozen=True, kw_only=True)
class LayerInfo:
    """One layer; ``depth`` goes from 0 (next to the picture) to 1, ``aliases`` are other names for it. What it
    ``shows`` is known, or else ``guessed`` from its depth."""

    name: str
    channels: int
    height: int
    width: int
    depth: float
    shows: str
    guessed: bool
    is_default: bool
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, with another one that it goes by, marked when it is the model's default."""
        names = " = ".join((self.name, *self.aliases[:1]))
        return f"{names} (default)" if self.is_default else names


def list_layers(spec: ModelSpec, side_px: int) -> list[LayerInfo]:
    """Return the layers of ``spec`` for a square picture; fetches no weights if the model can do without."""
    from deepdream_engine.network import MIDDLE, LoadedNetwork
    from deepdream_engine.records import Network

    network = Network(
        key=(spec.name, None),
        name=spec.name,
        load=spec.build or (lambda: spec.load(None)),
        mean=spec.mean,
        std=spec.std,
        min_side_px=spec.min_side_px,
        aliases=spec.aliases,
    )
    notes = {tap.name: tap.shows for tap in spec.taps}
    loaded = LoadedNetwork(network)
    found = loaded.taps(max(side_px, spec.min_side_px))
    default = loaded.middle if spec.default_tap == MIDDLE else spec.default_tap
    return [
        LayerInfo(
            name=tap.name,
            channels=tap.channels,
            height=tap.height,
            width=tap.width,
            depth=round(tap.depth, 3),
            shows=notes.get(tap.name) or _by_depth(tap.depth),
            guessed=not notes.get(tap.name),
            is_default=default in (tap.name, *_aliases(spec, tap)),
            aliases=_aliases(spec, tap),
        )
        for tap in found
        if not notes or tap.name in notes
    ]


def _aliases(spec: ModelSpec, tap: TapInfo) -> tuple[str, ...]:
    return tap.others + tuple(alias for alias, real in spec.aliases.items() if real in (tap.name, *tap.others))


def _by_depth(depth: float) -> str:
    return next(words for limit, words in _BY_DEPTH if depth < limit)

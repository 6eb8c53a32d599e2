"""The embedded models: DreamNet and two sets of weights, which come with the package, so that nothing needs the
internet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import ModelSpec, TapNote

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).with_name("dreamnet.safetensors")
_ROBUST = Path(__file__).with_name("dreamnet-robust.safetensors")

_TAPS = (
    TapNote(name="conv1", shows="fine grain, colour contrasts"),
    TapNote(name="conv2", shows="carved strokes along every edge"),
    TapNote(name="pool2", shows="strokes, softened"),
    TapNote(name="mixed3a", shows="contours, swollen and smoothed"),
    TapNote(name="mixed3b", shows="textures: lamps, posts, scales"),
    TapNote(name="pool3", shows="textures, softened"),
    TapNote(name="mixed4a", shows="mesh, roofs, ridges"),
    TapNote(name="mixed4b", shows="woven patterns, hills, terraces"),
    TapNote(name="mixed4c", shows="palaces, arches, muzzles"),
    TapNote(name="mixed4d", shows="faces, crowds, viaducts"),
    TapNote(name="pool4", shows="faces and viaducts, softened"),
    TapNote(name="mixed5a", shows="herds, fur, tower blocks"),
    TapNote(name="mixed5b", shows="whole scenes: parasols, harbours, mushrooms"),
)
_ROBUST_TAPS = (
    TapNote(name="conv1", shows="contrasts, sharpened"),
    TapNote(name="conv2", shows="edges, carved"),
    TapNote(name="pool2", shows="edges, softened"),
    TapNote(name="mixed3a", shows="contours around flattened areas"),
    TapNote(name="mixed3b", shows="outlined rounds: caps, domes, huts"),
    TapNote(name="pool3", shows="outlined rounds, softened"),
    TapNote(name="mixed4a", shows="weave, mesh, ridges"),
    TapNote(name="mixed4b", shows="weave, spotted rounds"),
    TapNote(name="mixed4c", shows="spotted muzzles, outlined rounds"),
    TapNote(name="mixed4d", shows="spotted heads, curtains, piers"),
    TapNote(name="pool4", shows="spotted heads, softened"),
    TapNote(name="mixed5a", shows="spotted fur, curtains, tower blocks"),
    TapNote(name="mixed5b", shows="whole scenes: colonnades, reeds, curtains"),
)


@hookimpl
def deepdream_models() -> Iterator[ModelSpec]:
    """Yield the embedded models."""
    yield ModelSpec(
        name="dreamnet",
        help="The embedded network: small, quick, painterly; 200 classes of Tiny-ImageNet",
        load=load,
        build=_build,
        default_tap="mixed4d",
        weights="comes with the package",
        min_side_px=32,
        taps=_TAPS,
        classes=classes,
        side_px=64,
    )
    yield ModelSpec(
        name="dreamnet-robust",
        help="The embedded network, trained adversarially for longer: fewer, larger and rounder forms",
        load=partial(load, model="dreamnet-robust", own=_ROBUST),
        build=_build,
        default_tap="mixed4d",
        weights="comes with the package",
        min_side_px=32,
        taps=_ROBUST_TAPS,
        classes=classes,
        side_px=64,
    )


def classes() -> Sequence[str]:
    """Return the 200 classes of Tiny-ImageNet with their synonyms, the last of which is the WordNet id."""
    return Path(__file__).with_name("classes.txt").read_text(encoding="utf-8").splitlines()


def _build() -> nn.Module:
    from deepdream_plugins.builtin.dreamnet.network import DreamNet

    return DreamNet()


def load(weights: Path | None, *, model: str = "dreamnet", own: Path = WEIGHTS) -> nn.Module:
    """Return the network with the weights of ``weights``, or with ``model``'s own."""
    from deepdream_plugins.builtin.dreamnet.network import DreamNet
    from deepdream_plugins.weights import fit, read_state_dict

    path = weights or own
    return fit(DreamNet(), read_state_dict(path), model=model, source=repr(str(path)))

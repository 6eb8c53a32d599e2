"""From an :class:`OwnModel` to the model that the catalogue lists, and to the network when it is used."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.own_models.tables import DEFAULT, RANDOM, OwnModel
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.resolving.named_files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TRIALS_PX = (48, 64, 75, 80, 96, 128, 160, 192, 224, 256, 384)
_ADVICE = {
    "torchvision": "Choose a convolutional network, or one of timm's vision transformers.",
    "timm": "Choose another one; convolutional networks take any size, and so do most of timm's 'vit' models.",
    "file": "Export it with sizes that may change; TorchScript keeps them if it is scripted, not traced.",
    "builder": "Let the builder return a network without fixed sizes.",
}


def model_spec(own: OwnModel) -> ModelSpec:
    """Return the record; its ``load`` raises ``BadOption`` with a place, or ``ModelUnavailable``."""
    builds = own.kind in ("torchvision", "timm")
    return ModelSpec(
        name=own.name,
        help=own.help or f"a network of your own, from {own.kind}: {own.source}",
        load=partial(_load, own),
        build=partial(_build, own) if builds else None,
        default_tap=own.default_tap,
        weights=_told(own),
        mean=own.mean or _MEAN,
        std=own.std or _STD,
        min_side_px=own.min_side_px,
        classes=partial(_classes, own.classes) if own.classes else None,
        identity=partial(_identity, own),
    )


def _identity(own: OwnModel) -> str:
    """Return a SHA-256 over what the table says and over the content of its files, wherever they lie.

    The names of classes are those that were read with the table. What a builder's own code does is not looked at, nor
    which weights are the published ones.
    """
    table = {
        "kind": own.kind,
        "source": own.source if own.file is None else sha256(str(own.file), own.where(own.kind)),
        "arguments": own.arguments,
        "weights": sha256(str(own.weights), own.where("weights")) if isinstance(own.weights, Path) else own.weights,
        "mean": own.mean,
        "std": own.std,
        "classes": own.classes,
        "default_tap": own.default_tap,
        "min_side_px": own.min_side_px,
    }
    return hashlib.sha256(json.dumps(table, sort_keys=True, default=str).encode()).hexdigest()


def _classes(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


def _told(own: OwnModel) -> str:
    if own.kind == "file":
        return "in the file"
    if isinstance(own.weights, Path):
        return str(own.weights)
    if own.weights == RANDOM:
        return "random, of seed 0"
    if own.kind == "builder":
        return "what the builder puts in"
    which = "default ones" if own.weights == DEFAULT else own.weights
    return f"{own.kind}'s {which}, fetched on first use"


def _build(own: OwnModel) -> nn.Module:
    """Return the network without values, for listing its layers."""
    from deepdream_plugins.own_models import sources

    return sources.without_values(own)


def _load(own: OwnModel, weights: Path | None) -> nn.Module:
    """Return the network with its weights, those of the file ``weights`` if it is given."""
    from deepdream_plugins.own_models import sources

    if own.file is not None:
        if weights is not None:
            raise BadOption(f"weights: model {own.name!r} is a file, which has its weights in it. Leave them out.")
        from deepdream_plugins.own_models.files import load_file

        module = load_file(own.file, own.where(own.kind))
    else:
        module = sources.with_values(own, weights)
    module.eval().requires_grad_(False)
    _check_sizes(module, own)
    _check_classes(module, own)
    return module


def _check_sizes(module: nn.Module, own: OwnModel) -> None:
    """Refuse a network that cannot look at pictures of any size from its smallest on, and several at once."""
    why = _refusal(module, own.min_side_px)
    if not why:
        return
    works = next((side for side in _TRIALS_PX if side > own.min_side_px and not _refusal(module, side)), None)
    if works is not None:
        raise BadOption(
            f"{own.where('min_side_px')}: model {own.name!r} cannot look at pictures of {own.min_side_px} pixels "
            f"({why}), but at those of {works}. Set min_side_px = {works} in [models.{own.name}]."
        )
    raise BadOption(
        f"{own.where(own.kind)}: model {own.name!r} does not take pictures of any size, several at once ({why}). "
        f"{_ADVICE[own.kind]}"
    )


def _check_classes(module: nn.Module, own: OwnModel) -> None:
    """Refuse names for another number of classes than the network tells apart: each would stand for a wrong one."""
    import torch

    look: Callable[[torch.Tensor], object] = module
    with torch.no_grad():
        output = look(torch.zeros(2, 3, own.min_side_px, own.min_side_px + 23)) if own.classes else None
    if isinstance(output, torch.Tensor) and output.ndim == 2 and output.shape[1] != len(own.classes):
        raise BadOption(
            f"{own.where('classes')}: it names {len(own.classes)} classes, but the output of model {own.name!r} has "
            f"{output.shape[1]}. Name those, in their order, or leave classes out."
        )


def _refusal(module: nn.Module, side: int) -> str:
    """Return why ``module`` cannot look at pictures as low as ``side``, or nothing if it can."""
    import torch

    look: Callable[[torch.Tensor], object] = module
    try:
        with torch.no_grad():
            look(torch.zeros(2, 3, side, side + 23))
    except Exception as error:  # noqa: BLE001  a stranger's network may raise anything
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""

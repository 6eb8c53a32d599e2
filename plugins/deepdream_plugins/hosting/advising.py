"""Weights that are of another network than the model: whoever loads it hears which model's they look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption
from deepdream_plugins.hosting.limiting import is_users
from deepdream_plugins.hosting.registry import Owned
from deepdream_plugins.weights import DoesNotFit, readings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from deepdream_plugins.records import ModelSpec

_ALIKE = 0.5
"""More than this part of all names and shapes must be the same for a model to be named."""


def advised(
    models: Mapping[str, Owned[ModelSpec]], known: Mapping[str, Owned[ModelSpec]]
) -> dict[str, Owned[ModelSpec]]:
    """Return ``models`` so that the error of a ``load`` whose weights do not fit names the nearest of those that are
    ``known`` by then."""
    return {
        name: replace(owned, spec=replace(owned.spec, load=_Advised(owned.spec.load, known)))
        for name, owned in models.items()
    }


@dataclass(frozen=True)
class _Advised:
    """A model's ``load``, the same as another if what it wraps is."""

    __wrapped__: Callable[[Path | None], Any]
    known: Mapping[str, Owned[ModelSpec]] = field(compare=False, repr=False)

    def __call__(self, weights: Path | None) -> Any:
        try:
            return self.__wrapped__(weights)
        except DoesNotFit as error:
            # Without the weights: an error may be kept for long, and goes from process to process.
            raise BadOption(f"{error}{nearest_architecture(error.state, self.known)}") from None


def nearest_architecture(state: Mapping[str, Tensor], known: Mapping[str, Owned[ModelSpec]]) -> str:
    """Return `` They look like those of 'resnet50'.`` for the model that most of a state dict's names and shapes are
    of, however they are read, or an empty string."""
    shapes = [{key: tuple(value.shape) for key, value in read.items()} for _, read in readings(state)]
    best, share = "", _ALIKE
    for name, owned in known.items():
        own = _shapes(owned.spec)
        for found in shapes:
            alike = sum(found.get(key) == shape for key, shape in own.items()) / max(1, len(found.keys() | own.keys()))
            if alike > share:
                best, share = name, alike
    return f" They look like those of {best!r}: {share:.0%} of all names and shapes are the same." if best else ""


def _shapes(spec: ModelSpec) -> Mapping[str, tuple[int, ...]]:
    """Return the names and shapes of a network's weights; none for one that cannot be had without them, or at all."""
    if spec.build is None:
        return {}
    try:
        return {key: tuple(value.shape) for key, value in spec.build().state_dict().items()}
    # It is not the model that was asked for, and what is wrong with that one is what has to be said.
    except BaseException as error:
        if is_users(error):
            raise
        return {}

"""What commands say beyond a loader's words about weights that are of another network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepdream_plugins.weights import DoesNotFit

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import Owned
    from deepdream_plugins.records import ModelSpec


@contextmanager
def advised(models: Mapping[str, Owned[ModelSpec]]) -> Iterator[None]:
    """Name the model whose weights they look like, when weights do not fit."""
    try:
        yield
    except DoesNotFit as error:
        from deepdream_plugins.builtin.trained_models import nearest_architecture

        specs = [owned.spec for owned in models.values()]
        raise DoesNotFit(f"{error}{nearest_architecture(error.state, specs)}", error.state) from error

"""Which layers networks have, in the order of their numbers on sheets."""

from __future__ import annotations

from collections.abc import Hashable

from deepdream_daemon.layers import LayerInfo, list_layers
from deepdream_plugins.resolving.atlas import AtlasRecipe
from deepdream_plugins.resolving.resolved import ResolvedRecipe

_LISTED_AT_PX = 224
_KEPT = 16


class Layers:
    """Looks at each network once. To be asked by one thread, the engine's: a network is traced for it, and meanwhile no
    other may run in this process."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[LayerInfo, ...]] = {}

    def of(self, recipe: ResolvedRecipe, atlas: AtlasRecipe) -> tuple[LayerInfo, ...]:
        """Return the layers that ``atlas`` is of. Raises ``BadOption``."""
        key = recipe.program().network.key
        known = self._known.get(key)
        if known is None:
            while len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            known = self._known[key] = tuple(list_layers(recipe.model.spec, _LISTED_AT_PX))
        by_name = {layer.name: layer for layer in known}
        aliases = {alias: layer.name for layer in known for alias in layer.aliases}
        return tuple(by_name[name] for name in atlas.chosen(list(by_name), aliases))

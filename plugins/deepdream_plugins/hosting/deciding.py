"""Hooks that plugins are asked by, one after the other, so that each answer and each failure has a known owner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pluggy

from deepdream_engine.errors import DeepDreamError
from deepdream_plugins.hosting.guarding import Guard, PluginFailure
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.hosting.rounds import HOOK as RUN_BATCH
from deepdream_plugins.hosting.rounds import Implementation

_LOG = logging.getLogger(__name__)
_RECIPE_FOR, _SELF_TEST = "deepdream_recipe_for", "deepdream_self_test"
RECIPE_SECONDS = 10.0
"""How long a stranger may think about which recipe a picture gets."""


class Decisions:
    """What the plugins of ``manager`` decide, but for those that ``health`` knows to be unfit."""

    def __init__(self, manager: pluggy.PluginManager, health: Health) -> None:
        self._manager = manager
        self._health = health

    def fit(self, hook: str) -> Iterator[tuple[str, pluggy.HookImpl]]:
        """Yield the implementations of a hook with their plugins, in the order of their calls."""
        disabled = self._health.disabled
        for impl in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if impl.plugin_name not in disabled:
                yield impl.plugin_name, impl

    def recipe_for(
        self, path: str, folder: str, on_failure: Callable[[str], object] = lambda _problem: None
    ) -> tuple[str, str] | None:
        """Return the first recipe that a plugin names, and that plugin. ``on_failure`` is told of each that fails."""
        given = {"path": path, "folder": folder}
        for name, impl in self.fit(_RECIPE_FOR):
            guard = Guard(_RECIPE_FOR, name)
            arguments = [given[argument] for argument in impl.argnames]
            try:
                recipe: object = guard.call(impl.function, *arguments, limit_seconds=RECIPE_SECONDS)
                if recipe is not None and not isinstance(recipe, str):
                    raise guard.failure(f"returned {type(recipe).__name__}; return the name of a recipe, or None.")
            except DeepDreamError as error:
                _LOG.warning("%s", error)
                on_failure(str(error))
                if self._health.failed(name, str(error), _RECIPE_FOR):
                    _LOG.error("the plugin %r is disabled: %s", name, self._health.disabled[name])
                continue
            self._health.succeeded([name], _RECIPE_FOR)
            if recipe is not None:
                return recipe, name
        return None

    def runners(self, left_out: frozenset[str]) -> list[Implementation]:
        """Return who runs a batch, without the plugins that are ``left_out``: the wrappers first."""
        return [
            Implementation(name, impl.function, is_wrapper=impl.wrapper, takes=bool(impl.argnames))
            for name, impl in self.fit(RUN_BATCH)
            if name not in left_out
        ]

    def has_self_test(self, name: str) -> bool:
        """Whether the plugin ``name`` has a check of itself."""
        return any(plugin == name for plugin, _ in self.fit(_SELF_TEST))

    def self_test(self, name: str, limit_seconds: float) -> None:
        """Run the check that the plugin ``name`` has of itself; raises :class:`PluginFailure`."""
        for plugin, impl in self.fit(_SELF_TEST):
            if plugin != name:
                continue
            try:
                Guard(_SELF_TEST, name).call(impl.function, limit_seconds=limit_seconds)
            except PluginFailure:
                raise
            except DeepDreamError as error:
                raise PluginFailure(str(error), name) from error

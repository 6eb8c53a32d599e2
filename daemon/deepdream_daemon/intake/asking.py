"""Asking plugins which recipe a picture gets: once, when it is taken. What they answer is kept with its job."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_engine.errors import unknown
from deepdream_plugins.hosting.guarding import PluginFailure

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

NAMING = "naming a recipe"


@dataclass
class Asking:
    """Asks for one picture when it is called, and remembers what came of it.

    ``recipe`` is what the plugin ``plugin`` chose. ``fault`` says what is wrong with what one chose, or with one
    that failed at it.
    """

    folder: FolderSettings
    source: Path
    book: RecipeBook
    recipe: str | None = None
    plugin: str | None = None
    fault: str = ""

    def __call__(self) -> str | None:
        host = self.book.catalogue.host
        failed: list[str] = []
        answer = host.recipe_for(os.fspath(self.source), os.fspath(self.folder.input), failed.append)
        if answer is None:
            if failed:
                self.fault = f"the folder's recipe {self.folder.recipe!r} is used: {'; '.join(failed)}"
            return None
        name, plugin = answer
        if name not in self.book.names:
            known = unknown("recipe", name, self.book.names)
            failure = PluginFailure(f"deepdream_recipe_for of the plugin {plugin!r} chose no recipe: {known}", plugin)
            host.health.failed(plugin, str(failure), NAMING)
            self.fault = f"the folder's recipe {self.folder.recipe!r} is used: {failure}"
            return None
        host.health.succeeded([plugin], NAMING)
        self.recipe, self.plugin = name, plugin
        return name

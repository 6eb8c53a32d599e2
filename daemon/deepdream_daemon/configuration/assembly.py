"""The parts that every command works with, made from one configuration: settings, plugins, recipes.

All that can be wrong with a configuration is found here, before anything starts. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.config import default_settings, find_config, parse_settings
from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.toml_source import TomlSource


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A configuration and what it configures."""

    settings: Settings
    catalogue: Catalogue
    book: RecipeBook


def assemble(config: Path | None = None, *, to_run: bool = False) -> Assembly:
    """Load the configuration at ``config`` (or in the usual places, or the defaults) and what it names.

    ``to_run`` asks for all that the daemon needs: folders that exist, and recipes without mistakes. Other
    commands get by without, so that they help to find out what is wrong.
    """
    path = find_config(config)
    if path is None:
        settings = default_settings()
        catalogue = load_catalogue()
        return Assembly(settings=settings, catalogue=catalogue, book=RecipeBook(catalogue))
    source = TomlSource.read(path)
    settings = parse_settings(source, path, folders_must_exist=to_run)
    catalogue = _catalogue(settings, source.where)
    book = RecipeBook(catalogue, settings.recipes, source.where, base_dir=path.absolute().parent)
    if to_run:
        for error in book.check().values():
            raise error
    for index, folder in enumerate(settings.folders):
        if folder.recipe not in book.names:
            raise BadOption(
                f"{source.where('folders', index, 'recipe')}: {unknown('recipe', folder.recipe, book.names)} "
                "A recipe of your own is a table [recipes.NAME] in this file."
            )
    return Assembly(settings=settings, catalogue=catalogue, book=book)


def _catalogue(settings: Settings, where: Callable[..., str]) -> Catalogue:
    plugins = settings.plugins
    try:
        return load_catalogue(plugins.enable, plugins.folder, [folder.input for folder in settings.folders])
    except BadOption as error:
        raise BadOption(f"{where('plugins')}: {error}") from error

"""The parts that every command works with, made from one configuration: settings, plugins, recipes.

All that can be wrong with a configuration is found here, before anything starts. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from deepdream_daemon.configuration.config import default_settings, find_config, parse_settings
from deepdream_daemon.configuration.films import check_films
from deepdream_daemon.configuration.fitting import fits
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks, resolve_sinks
from deepdream_daemon.configuration.there import check_there
from deepdream_daemon.explaining.absent import absence
from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.builtin.trained_models import find_cards
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from deepdream_plugins.toml_source import TomlSource, dotted

_DEVICE = "engine.device: "
"""How the message begins that knows its key, but not the file that it stands in."""

MODELS_FOLDER = "models"

NO_PLUGINS = "DEEPDREAM_NO_PLUGINS"
"""The environment variable that leaves the built-in plugins alone; ``deepdream --no-plugins`` sets it."""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A configuration and what it configures; ``where("daemon", "state")`` names a place of it for messages.

    ``sinks`` are looked up for the daemon alone, and so are the recipes that are ``out_of_use``, because a plugin has
    failed or is switched off, each with the reason.
    """

    settings: Settings
    catalogue: Catalogue
    book: RecipeBook
    sinks: FolderSinks = field(default_factory=dict)
    out_of_use: Mapping[str, str] = field(default_factory=dict)
    where: Callable[..., str] = dotted

    @contextmanager
    def placing_device(self) -> Iterator[None]:
        """Give the error of a device that is not there its place; it is looked for only when torch is loaded."""
        try:
            yield
        except BadOption as error:
            if not str(error).startswith(_DEVICE):
                raise
            place = self.where("engine", "device")
            raise BadOption(f"{place}: {str(error).removeprefix(_DEVICE)}") from error


def assemble(
    config: Path | None = None,
    *,
    to_run: bool = False,
    loaded: Catalogue | None = None,
    known: Callable[[Path], Collection[Path]] = lambda _state: (),
) -> Assembly:
    """Load the configuration at ``config`` (or in the usual places, or the defaults) and what it names.

    ``to_run`` asks for all that the daemon needs: folders that exist, sinks, and recipes without mistakes; only what a
    plugin keeps from working that has failed or is switched off may be so, as the daemon does the rest. Other commands
    get by without, so that they help to find out what is wrong. The plugins that are ``loaded`` already are taken if
    they are those that the configuration asks for. ``known(state folder)`` are folders that may be away.
    """
    path = find_config(config)
    if path is None:
        settings = default_settings()
        catalogue = load_catalogue(Selection(trained=find_cards(models_folders(settings)), third_party=third_party()))
        return Assembly(settings=settings, catalogue=catalogue, book=RecipeBook(catalogue))
    source = TomlSource.read(path)
    settings = parse_settings(source, path, folders_must_exist=False)
    if to_run:
        check_there(settings, source.where, known(settings.state))
    selection = selection_of(settings)
    is_loaded = loaded is not None and fits(loaded, selection, source.where)
    catalogue = loaded if loaded is not None and is_loaded else load_catalogue(selection, source.where)
    book = RecipeBook(catalogue, settings.recipes, source.where, base_dir=path.absolute().parent)
    assembly = Assembly(settings=settings, catalogue=catalogue, book=book, where=source.where)
    if not to_run:
        return assembly
    failed = book.check()
    out_of_use = {name: reason for name, error in failed.items() if (reason := absence(error))}
    for error in [*(failed[name] for name in failed if name not in out_of_use), *unknown_recipes(assembly)]:
        raise error
    check_films(settings, book, source.where, but=out_of_use)
    return replace(assembly, sinks=resolve_sinks(settings, catalogue, source.where), out_of_use=out_of_use)


def unknown_recipes(assembly: Assembly) -> list[BadOption]:
    """Return what is wrong with the recipes that the watched folders name."""
    known = assembly.book.names
    return [
        BadOption(
            f"{assembly.where('folders', index, 'recipe')}: {unknown('recipe', folder.recipe, known)} "
            "A recipe of your own is a table [recipes.NAME] in this file."
        )
        for index, folder in enumerate(assembly.settings.folders)
        if folder.recipe not in known
    ]


def selection_of(settings: Settings) -> Selection:
    """Return which plugins a configuration asks for."""
    plugins = settings.plugins
    return Selection(
        enable=plugins.enable,
        folder=plugins.folder,
        watched=tuple(folder.input for folder in settings.folders),
        sha256=plugins.sha256,
        models=settings.models,
        base_dir=Path() if settings.path is None else settings.path.parent,
        trained=find_cards(models_folders(settings)),
        third_party=third_party(),
        load_seconds=plugins.load_seconds,
        filter_seconds=plugins.filter_seconds,
    )


def models_folders(settings: Settings) -> tuple[Path, ...]:
    """Return where taught models lie, the place for new ones first: beside the configuration, and the user's own."""
    own = platformdirs.user_data_path("deepdream").absolute() / MODELS_FOLDER
    return (own,) if settings.path is None else (settings.path.parent / MODELS_FOLDER, own)


def third_party() -> bool:
    """Return whether other than the built-in plugins may be used at all; raises :class:`BadOption`."""
    value = os.environ.get(NO_PLUGINS, "")
    if value not in ("", "0", "1"):
        raise BadOption(f"${NO_PLUGINS}: {value!r} is not 1 (no plugins), 0 or empty (those of the configuration).")
    return value != "1"


@contextmanager
def without_plugins() -> Iterator[None]:
    """Let only the built-in plugins be used, here and by the processes that are started meanwhile."""
    before = os.environ.get(NO_PLUGINS)
    os.environ[NO_PLUGINS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NO_PLUGINS]
        else:
            os.environ[NO_PLUGINS] = before

"""Whether this machine can write the films that the recipes of a configuration ask for, before any is dreamt."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.options import Where

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_plugins.recipes import RecipeBook


def check_films(settings: Settings, book: RecipeBook, where: Where, *, but: Container[str]) -> None:
    """Raise :class:`BadOption`, with its place, for a codec that PyAV has not, and for what contradicts itself; ``but``
    are recipes that cannot be looked at. Without PyAV nothing is known: each film is then refused with what to install.
    """
    asking = [book.resolve(name) for name in settings.recipes if name not in but]
    asking = [recipe for recipe in asking if recipe.film]
    if not asking:
        return
    from deepdream_daemon.films.extra import is_installed
    from deepdream_daemon.films.scenes import film_options

    for recipe in asking:
        try:
            if is_installed():
                film_options(recipe)
        except BadOption as error:
            raise BadOption(f"{where('recipes', recipe.name, 'film')}: {error}") from error

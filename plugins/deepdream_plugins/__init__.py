"""What a plugin's author imports, and :func:`load_catalogue` for those who use plugins. Imports no torch."""

from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.host import Owned, PluginHost, PluginInfo
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.records import (
    AscentSpec,
    ClassName,
    FilterContext,
    FilterSpec,
    ModelSpec,
    ObjectiveSpec,
    Option,
    PictureFile,
    Tap,
    TapNote,
    TransformSpec,
)
from deepdream_plugins.resolved import ResolvedRecipe

__all__ = [
    "AscentSpec",
    "Catalogue",
    "ClassName",
    "FilterContext",
    "FilterSpec",
    "ModelSpec",
    "ObjectiveSpec",
    "Option",
    "Owned",
    "PictureFile",
    "PluginHost",
    "PluginInfo",
    "RecipeBook",
    "ResolvedRecipe",
    "Tap",
    "TapNote",
    "TransformSpec",
    "hookimpl",
    "load_catalogue",
]

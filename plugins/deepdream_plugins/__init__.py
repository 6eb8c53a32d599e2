"""What a plugin's author imports, and :func:`load_catalogue` for those who use plugins. Imports no torch."""

from deepdream_engine.records import Schedule
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.guarding import PluginDisabled, PluginFailure
from deepdream_plugins.hookspecs import API, hookimpl
from deepdream_plugins.host import Owned, PluginHost, PluginInfo
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.records import (
    AscentSpec,
    Batch,
    ClassName,
    File,
    FilterContext,
    FilterSpec,
    ModelSpec,
    ObjectiveSpec,
    Option,
    PictureFile,
    ScheduleSpec,
    SinkSpec,
    Tap,
    TapNote,
    TransformSpec,
)
from deepdream_plugins.resolved import ResolvedRecipe
from deepdream_plugins.selection import Selection

__all__ = [
    "API",
    "AscentSpec",
    "Batch",
    "Catalogue",
    "ClassName",
    "File",
    "FilterContext",
    "FilterSpec",
    "ModelSpec",
    "ObjectiveSpec",
    "Option",
    "Owned",
    "PictureFile",
    "PluginDisabled",
    "PluginFailure",
    "PluginHost",
    "PluginInfo",
    "RecipeBook",
    "ResolvedRecipe",
    "Schedule",
    "ScheduleSpec",
    "Selection",
    "SinkSpec",
    "Tap",
    "TapNote",
    "TransformSpec",
    "hookimpl",
    "load_catalogue",
]

"""What a plugin's author imports, and :func:`load_catalogue` for those who use plugins. Imports no torch.

``Activations`` and ``Look``, which an objective's functions get, are here too; who imports one of them imports torch.
"""

from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, BadPicture, ModelUnavailable, NotDelivered
from deepdream_engine.records import Schedule, Step
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.events import Delivery
from deepdream_plugins.hookspecs import API, hookimpl
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure
from deepdream_plugins.hosting.host import Owned, PluginHost, PluginInfo
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
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.selection import Selection
from deepdream_plugins.unknown_name import UnknownName

if TYPE_CHECKING:
    from deepdream_engine.activations import Activations as Activations
    from deepdream_engine.activations import Look as Look

# Without Activations and Look: whoever imports everything means no torch.
__all__ = [
    "API",
    "AscentSpec",
    "BadOption",
    "BadPicture",
    "Batch",
    "Catalogue",
    "ClassName",
    "Delivery",
    "File",
    "FilterContext",
    "FilterSpec",
    "ModelSpec",
    "ModelUnavailable",
    "NotDelivered",
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
    "Step",
    "Tap",
    "TapNote",
    "TransformSpec",
    "UnknownName",
    "hookimpl",
    "load_catalogue",
]
_WITH_TORCH = ("Activations", "Look")


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deepdream_engine import activations

    return getattr(activations, name)

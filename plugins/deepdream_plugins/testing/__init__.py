"""For authors of plugins: checks that a record keeps its contract, against a tiny real network and the real engine.

>>> from deepdream_plugins.testing import check_batch_invariance, check_no_sync, check_objective
>>> check_objective(spec, layer="shapes", power=2.0)  # raises AssertionError that says what to mend

Each check takes a record and the options to try it with; options with a default may be left out. Nothing here needs
pytest; in a test file each call is a test of its own. :func:`check_plugin` runs all of them over a whole plugin.
"""

from deepdream_plugins.testing.ascents import check_ascent
from deepdream_plugins.testing.filters import check_filter, check_prefilter
from deepdream_plugins.testing.models import check_model
from deepdream_plugins.testing.objectives import check_batch_invariance, check_flat_layer, check_objective
from deepdream_plugins.testing.schedules import check_schedule
from deepdream_plugins.testing.seeing import tiny_activations
from deepdream_plugins.testing.sinks import a_delivery, check_sink
from deepdream_plugins.testing.stalls import check_no_sync
from deepdream_plugins.testing.tiny import CLASSES, TINY, a_picture, tiny_network
from deepdream_plugins.testing.transforms import check_transform
from deepdream_plugins.testing.whole import check_events, check_plugin, checks_of

__all__ = [
    "CLASSES",
    "TINY",
    "a_delivery",
    "a_picture",
    "check_ascent",
    "check_batch_invariance",
    "check_events",
    "check_filter",
    "check_flat_layer",
    "check_model",
    "check_no_sync",
    "check_objective",
    "check_plugin",
    "check_prefilter",
    "check_schedule",
    "check_sink",
    "check_transform",
    "checks_of",
    "tiny_activations",
    "tiny_network",
]

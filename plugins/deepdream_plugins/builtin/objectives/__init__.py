"""The built-in objectives: what a dream can make more of.

A module each: whole layers, channels, one neuron, the network's classes, a direction of activations, a guide picture,
and the pixels themselves.

Scores are sums over the picture (``is_sum``) or means. Of a picture that is seen in several windows, the windows' sums
add up to the sum, and a window's mean counts by its share of the canvas, so that they add up to the mean. Where a
window is judged as a whole (``class_logit``, ``class_probability``, ``guide_mean``, ``guide_gram``) it is the mean of
the windows' scores.
"""

from __future__ import annotations

from collections.abc import Iterator

from deepdream_plugins.builtin.objectives import channels, classes, direction, guides, layers, neuron, pixels
from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import ObjectiveSpec


@hookimpl
def deepdream_objectives() -> Iterator[ObjectiveSpec]:
    """Yield them, the default first."""
    for module in (layers, channels, neuron, classes, direction, guides, pixels):
        yield from module.OBJECTIVES

"""The hooks that a plugin may implement, all of them.

A plugin is a module (a package's entry point, or a loose file) with functions of these names marked with
``@hookimpl``. Each takes nothing and returns, or yields, records; the host calls it once, when it loads the
plugin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from deepdream_plugins import records

if TYPE_CHECKING:
    from deepdream_plugins.records import AscentSpec, FilterSpec, ModelSpec, ObjectiveSpec, TransformSpec

PROJECT = "deepdream"
PREFIX = f"{PROJECT}_"
GROUP = f"{PROJECT}.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def deepdream_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """Networks that can dream."""


@hookspec
def deepdream_objectives() -> Iterable[ObjectiveSpec]:  # type: ignore[empty-body]
    """Scores of activations that a dream makes higher."""


@hookspec
def deepdream_ascents() -> Iterable[AscentSpec]:  # type: ignore[empty-body]
    """Ways from gradients to steps."""


@hookspec
def deepdream_transforms() -> Iterable[TransformSpec]:  # type: ignore[empty-body]
    """Random changes of what the network sees before each step."""


@hookspec
def deepdream_prefilters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Changes to a picture before it is dreamt; these may change its size."""


@hookspec
def deepdream_postfilters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Changes to a dream before it is saved; these see the source picture too."""


@dataclass(frozen=True)
class Kind:
    """A kind of record: the hook that yields it, its type, and the word that messages use for it."""

    hook: str
    record: type[Any]
    word: str


MODELS = Kind("deepdream_models", records.ModelSpec, "model")
OBJECTIVES = Kind("deepdream_objectives", records.ObjectiveSpec, "objective")
ASCENTS = Kind("deepdream_ascents", records.AscentSpec, "ascent")
TRANSFORMS = Kind("deepdream_transforms", records.TransformSpec, "transform")
PREFILTERS = Kind("deepdream_prefilters", records.FilterSpec, "pre-filter")
POSTFILTERS = Kind("deepdream_postfilters", records.FilterSpec, "post-filter")
KINDS = (MODELS, OBJECTIVES, ASCENTS, TRANSFORMS, PREFILTERS, POSTFILTERS)

"""The hooks that a plugin may implement, all of them.

A plugin is a module (a package's entry point, or a loose file) with functions of these names marked with ``@hookimpl``.
There are *records*, which say what it provides and are asked for once, when it is loaded; *decisions*, which the
daemon asks for when it needs one; and *events*, which are told. A function takes those of the arguments below that it
wants, by name. None is called from the step loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from deepdream_plugins import records

if TYPE_CHECKING:
    from deepdream_engine.records import Outcome
    from deepdream_plugins import events
    from deepdream_plugins.hosting.host import PluginHost
    from deepdream_plugins.records import (
        AscentSpec,
        Batch,
        FilterSpec,
        ModelSpec,
        ObjectiveSpec,
        ScheduleSpec,
        SinkSpec,
        TransformSpec,
    )

PROJECT = "deepdream"
PREFIX = f"{PROJECT}_"
GROUP = f"{PROJECT}.plugins"
API = 1
"""The version of all of this. It grows when plugins that were right would no longer be."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# Records: return a list of them, or yield each.


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
def deepdream_schedules() -> Iterable[ScheduleSpec]:  # type: ignore[empty-body]
    """Ways to arrange the octaves and steps of a picture."""


@hookspec
def deepdream_prefilters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Changes to a picture before it is dreamt; these may change its size."""


@hookspec
def deepdream_postfilters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Changes to a dream before it is saved; these see the source picture too."""


@hookspec
def deepdream_sinks() -> Iterable[SinkSpec]:  # type: ignore[empty-body]
    """Places that finished dreams are brought to, beside the output folder."""


# Decisions.


@hookspec(firstresult=True)
def deepdream_recipe_for(path: str, folder: str) -> str | None:
    """Name the recipe for the picture at ``path`` below the watched ``folder``, or return ``None`` to leave it to
    others: the first who names one wins. A side file and a sub-folder that bears a recipe's name come before it, the
    folder's own recipe after it. It is asked once for each picture that is taken, and given up after 10 seconds."""


@hookspec(firstresult=True)
def deepdream_run_batch(batch: Batch) -> Iterator[tuple[int, Outcome]]:  # type: ignore[empty-body]
    """Dream the jobs of ``batch`` and yield each one's index and outcome as it is done, by default with
    ``batch.engine.stream``. A wrapper (``@hookimpl(wrapper=True)``) gets what the others yield, ``outcomes = yield``,
    and returns what is to come of it: it may time it, change it, or try a failed ``batch.job(index)`` again."""


@hookspec
def deepdream_self_test() -> None:
    """Check that the plugin works on this machine, and raise whatever is wrong; ``deepdream plugins --check`` asks."""


# Events. Each listener has a thread of its own: one that fails or hangs silences no other.


@hookspec
def deepdream_job_started(event: events.JobStarted) -> None:
    """A picture is being dreamt."""


@hookspec
def deepdream_progress(event: events.JobProgress) -> None:
    """Some more of a dream is done."""


@hookspec
def deepdream_job_finished(event: events.JobFinished) -> None:
    """A dream is published."""


@hookspec
def deepdream_job_failed(event: events.JobFailed) -> None:
    """A picture could not be dreamt, for now or for good."""


@hookspec
def deepdream_daemon_started(event: events.DaemonStarted) -> None:
    """The daemon works."""


@hookspec
def deepdream_daemon_stopping(event: events.DaemonStopping) -> None:
    """The daemon winds down; what takes longer than a second is not waited for."""


@hookspec(historic=True)
def deepdream_host_ready(host: PluginHost) -> None:
    """All plugins are loaded. One that is registered later hears it at once."""


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
SCHEDULES = Kind("deepdream_schedules", records.ScheduleSpec, "schedule")
PREFILTERS = Kind("deepdream_prefilters", records.FilterSpec, "pre-filter")
POSTFILTERS = Kind("deepdream_postfilters", records.FilterSpec, "post-filter")
SINKS = Kind("deepdream_sinks", records.SinkSpec, "sink")
KINDS = (MODELS, OBJECTIVES, ASCENTS, TRANSFORMS, SCHEDULES, PREFILTERS, POSTFILTERS, SINKS)

DECISIONS = ("deepdream_recipe_for", "deepdream_run_batch", "deepdream_self_test")
EVENTS = (
    "deepdream_job_started",
    "deepdream_progress",
    "deepdream_job_finished",
    "deepdream_job_failed",
    "deepdream_daemon_started",
    "deepdream_daemon_stopping",
)
READY = "deepdream_host_ready"
HOOKS = (*(kind.hook for kind in KINDS), *DECISIONS, *EVENTS, READY)

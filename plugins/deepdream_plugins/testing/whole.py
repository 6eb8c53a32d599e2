"""All checks that apply: to one record (:func:`checks_of`), and to everything that a plugin gives."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pluggy

from deepdream_engine.errors import BadOption
from deepdream_plugins import hookspecs
from deepdream_plugins.events import DaemonStarted, DaemonStopping, JobFailed, JobFinished, JobProgress, JobStarted
from deepdream_plugins.hookspecs import (
    ASCENTS,
    KINDS,
    MODELS,
    OBJECTIVES,
    POSTFILTERS,
    PREFILTERS,
    PROJECT,
    SCHEDULES,
    SINKS,
    TRANSFORMS,
    Kind,
)
from deepdream_plugins.hosting.host import PluginHost
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.selection import Selection
from deepdream_plugins.testing.ascents import check_ascent
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.filters import check_filter, check_prefilter
from deepdream_plugins.testing.models import check_model, check_network
from deepdream_plugins.testing.objectives import check_batch_invariance, check_flat_layer, check_objective
from deepdream_plugins.testing.options import guesses
from deepdream_plugins.testing.schedules import check_schedule
from deepdream_plugins.testing.sinks import check_declared
from deepdream_plugins.testing.stalls import check_no_sync
from deepdream_plugins.testing.transforms import check_transform

Check = Callable[[], None]

_CHECKS: Mapping[Kind, Mapping[str, Callable[..., None]]] = {
    OBJECTIVES: {
        "the score rises": check_objective,
        "alone equals among others": check_batch_invariance,
        "a layer without places will do, or is refused": check_flat_layer,
        "nothing waits for the device": check_no_sync,
    },
    ASCENTS: {"the picture climbs": check_ascent, "nothing waits for the device": check_no_sync},
    TRANSFORMS: {"the view is differentiable": check_transform, "nothing waits for the device": check_no_sync},
    SCHEDULES: {"every picture gets a schedule": check_schedule},
    PREFILTERS: {"pictures stay pictures": check_prefilter},
    POSTFILTERS: {"pictures stay pictures": check_filter},
    SINKS: {"the options are sound": check_declared},
}


def checks_of(kind: Kind, spec: Any) -> Mapping[str, Check]:
    """Return the checks that apply to a record of ``kind``, by what they show; each raises ``AssertionError`` with what
    to mend.

    Options have their defaults; those without one are guessed. Where no guess is to the record's liking, the check
    raises ``unittest.SkipTest``, which asks for a test of the author's own. Nothing is delivered or downloaded: of a
    sink only what it declares is checked, and of a model what ``build`` makes, if there is one.
    """
    if kind is MODELS:
        return {"the network dreams": partial(_check_bare, spec)}
    return {shows: partial(_guessed, check, spec) for shows, check in _CHECKS[kind].items()}


def _check_bare(spec: ModelSpec) -> None:
    if spec.build is None:
        check_model(spec)
    else:
        check_network(spec, spec.build)


def _guessed(check: Callable[..., None], spec: Any) -> None:
    refused: BadOption | None = None
    for options in guesses(spec.options):
        try:
            return check(spec, **options)
        except BadOption as error:
            refused = error
    raise unittest.SkipTest(
        f"{spec.name!r} needs options that cannot be guessed ({refused}). Call {check.__name__} with some in a test of "
        f"the plugin's own."
    ) from refused


def check_plugin(plugin: object, name: str = "tested") -> None:
    """Check a whole plugin (a module, mostly): that the host takes it beside the built-in ones, that each of its
    records keeps its contract as far as :func:`checks_of` can tell, that its listeners take every event, and that its
    self-test passes.

    Raises ``AssertionError`` with what to mend.
    """
    host = PluginHost(Selection(third_party=False))
    info = host.register(plugin, name)
    if info.state != "active":
        raise Broken(f"the plugin {name!r} is refused: {info.reason}")
    for kind in KINDS:
        for owned in host.records(kind).values():
            if owned.owner == name:
                _run_all(checks_of(kind, owned.spec))
    check_events(plugin)
    test = _hooks(plugin).deepdream_self_test
    with calling("deepdream_self_test"):
        test()


def _run_all(checks: Mapping[str, Check]) -> None:
    for check in checks.values():
        try:
            check()
        except unittest.SkipTest:
            continue  # the author's own test has to do it


def check_events(plugin: object) -> None:
    """Tell the listeners of a plugin one story from the daemon's start to its end, and check that none fails."""
    hooks = _hooks(plugin)
    for name, event in _story():
        with calling(f"{name} of the plugin"):
            getattr(hooks, name)(event=event)


def _hooks(plugin: object) -> pluggy.HookRelay:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    return manager.hook


def _story() -> Iterator[tuple[str, object]]:
    """Yield each event's hook and the event, in the order in which a daemon tells them."""
    job: Mapping[str, Any] = {"job": 1, "path": "/photos/photo.jpg", "folder": "/photos", "recipe": "classic"}
    other = {**job, "job": 2, "path": "/photos/broken \\xff.jpg"}
    output = "/dreams/photo.classic.jpg"
    told: Mapping[str, Sequence[object]] = {
        "deepdream_daemon_started": [DaemonStarted(version="1.0", pid=1, folders=("/photos",))],
        "deepdream_job_started": [JobStarted(**job, attempt=1), JobStarted(**other, attempt=1)],
        "deepdream_progress": [JobProgress(**job, fraction=share) for share in (0.0, 0.5, 1.0)],
        "deepdream_job_finished": [JobFinished(**job, output=output, seconds=12.5)],
        "deepdream_job_failed": [
            JobFailed(**other, error="it is truncated", advice="replace it", final=final) for final in (False, True)
        ],
        "deepdream_daemon_stopping": [DaemonStopping(queued=0)],
    }
    for name, events in told.items():
        yield from ((name, event) for event in events)

"""What one plugin provides, found out apart from all others, so that it can be taken whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pluggy

from deepdream_engine.errors import BadOption
from deepdream_plugins import hookspecs
from deepdream_plugins.hookspecs import HOOKS, KINDS, PROJECT, Kind
from deepdream_plugins.hosting.declarations import checked_records
from deepdream_plugins.hosting.explaining import place_of
from deepdream_plugins.hosting.guarding import Guard, PluginFailure, is_third_party
from deepdream_plugins.hosting.marking import PluginFault, check_functions
from deepdream_plugins.hosting.registry import Owned, Records
from deepdream_plugins.records import ModelSpec


def collect(plugin: object, owner: str) -> Records:
    """Return the records of ``plugin``, well formed; raises :class:`PluginFault` or what the plugin raises."""
    check_functions(plugin)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, owner)
    if not manager.get_hookcallers(plugin):
        raise PluginFault(f"it has no hook; write one of {', '.join(HOOKS)}, with @hookimpl on the line above it.")
    return {kind: _placed(kind, getattr(manager.hook, kind.hook), owner) for kind in KINDS}


def _placed(kind: Kind, call: pluggy.HookCaller, owner: str) -> dict[str, Owned[Any]]:
    """Call a hook of one plugin; what is wrong with its records is placed at its function."""
    try:
        return _collect(kind, call, owner)
    except PluginFault as fault:
        if fault.place:
            raise
        raise PluginFault(
            fault.message, "".join(place_of(impl.function) for impl in call.get_hookimpls()[:1])
        ) from None


def _collect(kind: Kind, call: pluggy.HookCaller, owner: str) -> dict[str, Owned[Any]]:
    found: dict[str, Owned[Any]] = {}
    # Called one by one: pluggy itself leaves out those that return None, as one does that lacks its yield.
    results = (impl.function() for impl in reversed(call.get_hookimpls()))
    for record in chain.from_iterable(checked_records(kind, result) for result in results):
        name: str = record.name  # type: ignore[attr-defined]
        if name in found:
            raise PluginFault(
                f"the {kind.word} {name!r} is already provided by the plugin {owner!r} itself; rename one of them."
            )
        found[name] = Owned(spec=_with_guarded_classes(record, owner), owner=owner)
    return found


def _with_guarded_classes(record: object, owner: str) -> object:
    """Let a stranger's list of classes, which recipes are resolved with, fail as a name that cannot be looked up."""
    if not isinstance(record, ModelSpec) or record.classes is None or not is_third_party(owner):
        return record
    guard = Guard(f"the model {record.name!r}", owner)
    listed: Callable[[], object] = record.classes

    def classes() -> Sequence[str]:
        try:
            found = guard.call(listed)
            if isinstance(found, str) or not isinstance(found, Sequence) or not all(isinstance(n, str) for n in found):
                raise guard.failure(f"returned {type(found).__name__}; classes must return a list of names.")
        except PluginFailure as failure:
            raise BadOption(f"the classes of the model {record.name!r} cannot be had: {failure}") from failure
        return found

    return replace(record, classes=classes)

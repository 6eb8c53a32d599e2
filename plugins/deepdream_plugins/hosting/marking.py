"""What a plugin's functions must look like to be heard: marked, spelt as a hook is, with arguments that it has.

pluggy passes over most mistakes here in silence: an unmarked function, an argument with a default. Every complaint is a
:class:`PluginFault` with file and line.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from deepdream_engine.errors import DeepDreamError, nearest
from deepdream_plugins import hookspecs
from deepdream_plugins.hookspecs import HOOKS, PREFIX, PROJECT
from deepdream_plugins.hosting.explaining import place_of

_WRAPPED = "deepdream_run_batch"
_TWISTED = 0.85
"""How alike (``difflib``) a function's name and a hook's are when one was meant and mistyped."""


class PluginFault(DeepDreamError):
    """A plugin is not as the host needs it; the message is for its author, and begins with the ``place`` to mend,
    ``FILE:LINE: ``, if that is known."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}{message}")
        self.message = message
        self.place = place


def check_functions(plugin: object) -> None:
    """Refuse what would silently do nothing: misspelt hooks, functions that lack ``@hookimpl``; and hooks that cannot
    be called."""
    if inspect.isclass(plugin):
        raise PluginFault(f"{plugin.__name__} is a class; a plugin is a module, or an object: {plugin.__name__}().")
    for name, function in inspect.getmembers(plugin, inspect.isroutine):
        marked = getattr(function, f"{PROJECT}_impl", None)
        if isinstance(marked, dict):
            _check_hook(marked.get("specname") or name, function, marked)
        elif getattr(function, "__module__", None) == _module_name(plugin):
            _check_unmarked(name, function)


def _check_unmarked(name: str, function: object) -> None:
    if name.startswith(PREFIX):
        hint = "" if name in HOOKS else nearest(name, HOOKS)
        raise PluginFault(
            f"{name} is not marked; put @hookimpl (from deepdream_plugins) on the line above it, "
            f"or name it otherwise if it is no hook.{hint}",
            place_of(function),
        )
    if difflib.get_close_matches(name, HOOKS, n=1, cutoff=_TWISTED):
        raise PluginFault(
            f"{name} is no hook.{nearest(name, HOOKS)} Hooks have @hookimpl above them, too.", place_of(function)
        )


def _check_hook(hook: str, function: Callable[..., Any], marked: dict[str, Any]) -> None:
    place = place_of(function)
    if hook not in HOOKS:
        raise PluginFault(f"{hook!r} is no hook.{nearest(hook, HOOKS)} Hooks: {', '.join(HOOKS)}.", place)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginFault(f"{hook} is async, and nobody awaits it; write a plain function: def {hook}(…).", place)
    if marked.get("hookwrapper"):
        raise PluginFault(f"{hook} is a wrapper of pluggy's old kind; write @hookimpl(wrapper=True).", place)
    if marked.get("wrapper"):
        if hook != _WRAPPED:
            raise PluginFault(f"{hook} cannot be wrapped; only {_WRAPPED} can. Write @hookimpl without wrapper.", place)
        if not inspect.isgeneratorfunction(function):
            raise PluginFault(f"{hook} is a wrapper and has no yield; write: outcomes = yield.", place)
    known = list(inspect.signature(getattr(hookspecs, hook)).parameters)
    takes = f"It takes those of its arguments that it wants, by name: {', '.join(known) or 'there are none'}"
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginFault(f"{hook} has the argument {parameter}. {takes}.", place)
        if parameter.default is not parameter.empty:
            raise PluginFault(
                f"{hook} has a default for its argument {parameter.name!r}, so it would never be given; remove the "
                f"default.",
                place,
            )
        if parameter.name not in known:
            hint = nearest(parameter.name, known)
            raise PluginFault(f"{hook} has an argument {parameter.name!r} that the hook has not.{hint} {takes}.", place)
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise PluginFault(f"{hook} takes {parameter.name!r} behind a '*'; remove the '*'.", place)


def _module_name(plugin: object) -> str:
    return plugin.__name__ if inspect.ismodule(plugin) else plugin.__class__.__module__

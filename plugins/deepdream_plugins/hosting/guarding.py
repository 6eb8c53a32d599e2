"""Calls of plugins' functions: whatever one raises becomes a :class:`PluginFailure` that says whose it is, and where.

What a plugin raises on purpose, a ``DeepDreamError``, passes through, and so does memory that runs out, which the
engine knows how to mend. What a plugin prints goes to the log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from deepdream_engine.errors import BadOption, DeepDreamError, EngineFault
from deepdream_plugins.hosting.explaining import explained, is_readable
from deepdream_plugins.hosting.limiting import TimeIsUp, is_users, run_stranger
from deepdream_plugins.hosting.loading import BUILT_IN, CONFIGURATION

Result = TypeVar("Result")


class PluginFailure(EngineFault):
    """The code of ``plugin`` failed or gave back something wrong; the message says where, and what to mend."""

    def __init__(self, message: str, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class PluginDisabled(BadOption):
    """``plugin`` is needed, and was disabled because it failed again and again."""

    def __init__(self, message: str, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


def is_third_party(plugin: str) -> bool:
    """Whether ``plugin`` is a stranger's: not built in, nor made from the configuration."""
    return plugin not in BUILT_IN and plugin != CONFIGURATION


@dataclass(frozen=True)
class Guard:
    """Calls functions of one plugin for what messages name ``what``: ``the post-filter 'blend'``."""

    what: str
    plugin: str

    def __str__(self) -> str:
        return f"{self.what} of the plugin {self.plugin!r}"

    def call(
        self,
        function: Callable[..., Result],
        *args: Any,
        limit_seconds: float | None = None,
        near: Callable[..., Any] | None = None,
    ) -> Result:
        """Return what ``function`` returns. A stranger's is given up after ``limit_seconds``, if that is given.
        ``near`` is the plugin's own function, if ``function`` is one of ours that calls it."""
        if not is_third_party(self.plugin):
            return self._call(function, args, near or function)
        try:
            return run_stranger(
                self.plugin, lambda: self._call(function, args, near or function), limit_seconds, self.what
            )
        except TimeIsUp:
            raise self.failure(
                f"did not end within {limit_seconds:g} seconds and was given up; make it faster, or leave it out."
            ) from None

    def _call(self, function: Callable[..., Result], args: tuple[Any, ...], near: Callable[..., Any]) -> Result:
        try:
            return function(*args)
        except DeepDreamError as error:
            if is_readable(error):
                raise
            raise self.failure(f"failed at {explained(error, near)}") from error
        # Whatever it raises: what libraries in Rust panic with, and what ends a task or a test, is no Exception.
        except BaseException as error:
            if is_users(error) or _out_of_memory(error):
                raise
            raise self.failure(f"failed at {explained(error, near)}") from error

    def failure(self, problem: str) -> PluginFailure:
        """Return the error that says ``problem`` of this function."""
        return PluginFailure(f"{self} {problem}", self.plugin)


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:
        return False
    from deepdream_engine.memory import is_out_of_memory

    return is_out_of_memory(error)

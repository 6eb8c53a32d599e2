"""Errors on their way from the worker: of the classes that somebody here tells apart, they arrive as they were raised.

Any other arrives as an :class:`~deepdream_engine.errors.EngineFault` with its name, its text and, as its cause, its
traceback.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

from deepdream_daemon.intake.companions import BadCompanion
from deepdream_daemon.intake.sources import Changed
from deepdream_daemon.pipeline.film_orders import ToBeContinued
from deepdream_engine import errors
from deepdream_engine.errors import DeepDreamError, EngineFault
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure

_KNOWN: Mapping[str, type[BaseException]] = {
    **{kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)},
    **{
        kind.__name__: kind
        for kind in (BadCompanion, Changed, PluginDisabled, PluginFailure, MemoryError, ToBeContinued)
    },
}
_SIMPLE = (str, int, float, bool, type(None))

Fault = Mapping[str, Any]
"""An error as it is sent."""


class Elsewhere(Exception):
    """The traceback of an error that was raised in the worker; it is the error's cause."""


def packed(error: BaseException) -> Fault:
    """Return what is sent of ``error``, in the worker."""
    if isinstance(error, OSError):
        return {"kind": "OSError", "args": (error.errno, error.strerror or str(error)), "file": error.filename}
    if _out_of_memory(error):
        error = errors.OutOfMemory(str(error).split("\n", 1)[0])
    kind = next((each.__name__ for each in type(error).__mro__ if _KNOWN.get(each.__name__) is each), None)
    if kind is not None:
        said = {name: value for name, value in vars(error).items() if isinstance(value, _SIMPLE)}
        return {"kind": kind, "args": (str(error),), "said": said}
    text = str(error).strip()
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {"kind": "", "args": (told,), "trace": "".join(traceback.format_exception(error))}


def unpacked(fault: Fault) -> Exception:
    """Return the error, here."""
    if fault["kind"] == "OSError":
        number, text = fault["args"]
        return OSError(text) if number is None else OSError(number, text, fault["file"])
    kind = _KNOWN.get(fault["kind"], EngineFault)
    error = kind.__new__(kind)
    assert isinstance(error, Exception)  # that is all that are known
    BaseException.__init__(error, *fault["args"])  # not its own, whose arguments only the class knows
    vars(error).update(fault.get("said", {}))
    if "trace" in fault:
        error.__cause__ = Elsewhere(f"\n{fault['trace']}")
    return error


def _out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory beside the engine, which tells of it by itself."""
    if isinstance(error, DeepDreamError | MemoryError) or "torch" not in sys.modules:
        return False
    from deepdream_engine.memory import is_out_of_memory

    return is_out_of_memory(error)

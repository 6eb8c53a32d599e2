"""Why a plugin's code failed, in one line for its author: the file and line to look at, and what went wrong there."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pluggy

from deepdream_engine.errors import DeepDreamError

_MACHINERY = (Path(__file__).parent, Path(pluggy.__file__).parent)


def explained(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """Return ``FILE:LINE: Error: why``. Of the places that ``error`` came through, the innermost in the files beside
    that of ``function`` is named, or else the innermost that is no machinery: a line in torch tells an author little.
    """
    if isinstance(error, DeepDreamError):
        return str(error)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r}); a plugin must not end the program"
    return f"{_place(error, function)}{' '.join(what.split())}"


def place_of(function: object) -> str:
    """Return ``FILE:LINE: `` of a function's definition, or ``""`` where that is not known."""
    code = _code(function)
    return f"{code.co_filename}:{code.co_firstlineno}: " if code else ""


def _place(error: BaseException, function: Callable[..., Any] | None) -> str:
    frames = [
        frame
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if not frame.filename.startswith("<")
        and "importlib" not in Path(frame.filename).parts
        and Path(frame.filename).parent not in _MACHINERY
    ]
    code = _code(function)
    own = Path(code.co_filename).parent if code else None
    near = [frame for frame in frames if own is not None and Path(frame.filename).is_relative_to(own)]
    frame = next(iter(near or frames), None)
    return f"{frame.filename}:{frame.lineno}: " if frame else place_of(function)


def _code(function: object) -> Any:
    while isinstance(function, partial):
        function = function.func
    try:
        return getattr(inspect.unwrap(function), "__code__", None)  # type: ignore[arg-type]
    except ValueError:
        return None

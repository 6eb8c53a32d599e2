"""Why a plugin's code failed, in one line for its author: the file and line to look at, and what went wrong there."""

from __future__ import annotations

import dataclasses
import inspect
import re
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pluggy

from deepdream_engine.errors import DeepDreamError, nearest
from deepdream_plugins import records
from deepdream_plugins.hosting.limiting import is_users

_UNEXPECTED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
_OURS = Path(__file__).parents[1]
_MACHINERY = (_OURS, *(_OURS / folder for folder in ("hosting", "resolving")), Path(pluggy.__file__).parent)


def explained(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """Return ``FILE:LINE: Error: why``. Of the places that ``error`` came through, the innermost in the files beside
    that of ``function`` is named, or else the innermost that is no machinery: a line in torch tells an author little.
    """
    if isinstance(error, DeepDreamError) and is_readable(error):
        return str(error)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    return f"{_place(error, function)}{' '.join(_said(error).split())}"


def is_readable(error: BaseException) -> bool:
    """Whether ``error`` can be made a text of; that is a stranger's code, too."""
    try:
        str(error)
        repr(getattr(error, "code", None))
    except BaseException as failed:
        if is_users(failed):
            raise
        return False
    return True


def _said(error: BaseException) -> str:
    name = type(error).__name__
    if not is_readable(error):
        return f"{name} (which cannot say more: its __str__ fails)"
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r}); a plugin must not end the program"
    return f"{name}: {error}{_hint(error)}" if str(error) else name


def _hint(error: BaseException) -> str:
    """Return which field of a record was meant, if one was given that it has not."""
    found = _UNEXPECTED.search(str(error)) if isinstance(error, TypeError) else None
    record = getattr(records, found[1], None) if found else None
    if not found or not dataclasses.is_dataclass(record):
        return ""
    names = [field.name for field in dataclasses.fields(record)]
    return f".{nearest(found[2], names)} Valid: {', '.join(names)}."


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
    try:
        found: Any = inspect.unwrap(function)  # type: ignore[arg-type]
        while isinstance(found, partial):
            found = inspect.unwrap(found.func)
    except ValueError:
        return None
    return getattr(found, "__code__", None)

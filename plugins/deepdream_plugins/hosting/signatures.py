"""Whether a record's functions can be called as they will be: with so many arguments, and its options by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deepdream_plugins.hosting.explaining import place_of
from deepdream_plugins.hosting.marking import PluginFault
from deepdream_plugins.records import Option, PictureFile


@dataclass(frozen=True)
class Call:
    """How a function of a record is called: ``arguments`` in order, then the options by name if ``options``."""

    arguments: tuple[str, ...]
    options: bool = True


CALLS: dict[tuple[str, str], Call] = {
    ("ModelSpec", "load"): Call(("weights",), options=False),
    ("ModelSpec", "build"): Call((), options=False),
    ("ModelSpec", "classes"): Call((), options=False),
    ("ModelSpec", "identity"): Call((), options=False),
    ("ObjectiveSpec", "score"): Call(("activations",)),
    ("ObjectiveSpec", "check"): Call(("shapes",)),
    ("ObjectiveSpec", "prepare"): Call(("look",)),
    ("AscentSpec", "direction"): Call(("gradient", "state", "step")),
    ("TransformSpec", "apply"): Call(("picture", "generator")),
    ("FilterSpec", "apply"): Call(("pictures", "context")),
    ("FilterSpec", "check"): Call(()),
    ("ScheduleSpec", "arrange"): Call(("schedule", "height", "width")),
    ("SinkSpec", "deliver"): Call(("delivery",)),
    ("SinkSpec", "check"): Call(()),
}
"""By the record's type and the function's name."""


def check_signature(record: object, name: str, function: Callable[..., Any], of: str) -> None:
    """Refuse a function that cannot be called as the host will; ``of`` names its record for the message."""
    call = CALLS[type(record).__name__, name]
    options: Sequence[Option] = getattr(record, "options", ()) if call.options else ()
    given = [option.name for option in options if option.type is not PictureFile]
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # written in C
        return
    # What prepare returns comes too, under names that nobody knows yet.
    is_open = name == "score" and getattr(record, "prepare", None) is not None
    bind = signature.bind_partial if is_open else signature.bind
    try:
        bind(*call.arguments, **dict.fromkeys(given))
    except TypeError as error:
        shown = ", ".join([*call.arguments, *(["*", *given] if given else [])])
        raise PluginFault(
            f"{of}: {name} is called as {name}({shown}), and cannot be: {error}. Give it these "
            f"parameters; options are those that the record declares.",
            place_of(function),
        ) from None

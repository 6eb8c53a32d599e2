"""Batched DeepDream: gradient ascent on pictures. Knows tensors and networks, no folders, no daemon, no plugins.

Importing this package imports no torch; its classes do when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdream_engine.records import (
    Dream,
    DreamJob,
    Failure,
    Network,
    Objective,
    Outcome,
    Program,
    Progress,
    Schedule,
)

if TYPE_CHECKING:
    from deepdream_engine.engine import Engine

__version__ = "0.1.0"

__all__ = [
    "Dream",
    "DreamJob",
    "Engine",
    "Failure",
    "Network",
    "Objective",
    "Outcome",
    "Program",
    "Progress",
    "Schedule",
]


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from deepdream_engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The version of the engine and of everything around it, as dreams carry it."""

from __future__ import annotations

from deepdream_engine import __version__


def version() -> str:
    """Return the version."""
    return __version__

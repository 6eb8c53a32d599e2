"""PyAV, which the extra ``video`` installs: imported when a film is read or written, and nowhere else."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from deepdream_engine.errors import BadOption

INSTALL = "pip install 'deepdream-daemon[video]'"


@functools.cache
def pyav() -> Any:
    """Return the module ``av``; raises :class:`BadOption` with what to install."""
    try:
        import av
    except ImportError as error:
        raise BadOption(f"Films need PyAV, which cannot be imported ({error}). Install it: {INSTALL}") from error
    _hush(av)
    return av


def is_installed() -> bool:
    """Tell whether films can be read and written here."""
    try:
        pyav()
    except BadOption:
        return False
    return True


def _hush(av: ModuleType) -> None:
    """Keep what FFmpeg says of a file off the terminal: errors come as exceptions, with their reasons."""
    av.logging.set_level(None)

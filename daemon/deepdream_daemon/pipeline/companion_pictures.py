"""The pictures in companions: decoded like the photo itself, and blamed by their own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_engine.errors import BadPicture

Decoded = TypeVar("Decoded")


def companion_pictures(companions: Mapping[str, Companion], decode: Callable[[bytes], Decoded]) -> dict[str, Decoded]:
    """Return what ``decode`` makes of each, by its name; raises :class:`BadCompanion`."""
    return {name: _decoded(name, companion, decode) for name, companion in companions.items()}


def _decoded(name: str, companion: Companion, decode: Callable[[bytes], Decoded]) -> Decoded:
    try:
        return decode(companion.data)
    except BadPicture as error:
        place = str(companion.path)
        raise BadCompanion(f"{place}: this {name} is no good: {error}", f"Replace {place!r}") from error

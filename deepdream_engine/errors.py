"""The errors that a user may meet, sorted by what the caller should do about them.

Every message quotes the offending value, names the valid choices and says what to do next, so a caller prints
``str(error)`` and nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Set


class DeepDreamError(Exception):
    """Base of every error with a message meant for the user."""


class BadPicture(DeepDreamError):
    """The picture itself cannot be dreamt: truncated, not a picture, too large, too small. Retrying is useless."""


class BadOption(DeepDreamError):
    """An option, name or file that the user wrote is wrong. Retrying is useless until it is edited."""


class UnknownTap(BadOption):
    """``tap`` is not a place in the model."""

    def __init__(self, message: str, tap: str) -> None:
        super().__init__(message)
        self.tap = tap


class ModelUnavailable(DeepDreamError):
    """A model's weights cannot be had at the moment (offline, and not on disk). Retrying later may work."""


class EngineFault(DeepDreamError):
    """A pass failed for a reason that is not the user's: out of memory, a device error, a plugin that raised."""


class OutOfMemory(EngineFault):
    """One picture did not fit in the device's memory even with the smallest tile. It may when others have left."""


class NotDelivered(DeepDreamError):
    """A dream could not be brought to where a sink brings it, for now. It is tried again."""


class Cancelled(DeepDreamError):
    """The caller asked the engine to stop before the work was done."""


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of ``choices`` to ``value``, or an empty string."""
    matches = difflib.get_close_matches(value, list(choices), n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def unknown(kind: str, value: str, choices: Iterable[str]) -> str:
    """Return the one sentence that every unknown name gets: the value, the nearest match, the valid choices.

    Choices keep their order, if they have one.
    """
    names = sorted(choices) if isinstance(choices, Set) else list(choices)
    return f"unknown {kind} {value!r}.{nearest(value, names)} Valid: {', '.join(names) or 'none'}."

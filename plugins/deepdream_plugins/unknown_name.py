"""The error of a name that no plugin provides, and why it may be that none does."""

from __future__ import annotations

from deepdream_engine.errors import BadOption


class UnknownName(BadOption, KeyError):
    """A name that no plugin provides; also a ``KeyError``, as a :class:`~collections.abc.Mapping` must raise.

    ``unavailable`` says why it may be none of the user's mistakes: a plugin that failed to load, or was switched off,
    may be the one that provides it. It is empty for a name that is wrong for sure.
    """

    __str__ = Exception.__str__  # KeyError would show the message in quotes

    def __init__(self, message: str, unavailable: str = "") -> None:
        super().__init__(message)
        self.unavailable = unavailable

    def at(self, place: str, more: str = "") -> UnknownName:
        """Return the same error with the ``place`` where the name stands before it, and ``more`` behind it."""
        said = f"{place}: {self}" if place else str(self)
        return UnknownName(f"{said} {more}" if more else said, self.unavailable)

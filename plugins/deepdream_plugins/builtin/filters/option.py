"""Options that several filters have."""

from __future__ import annotations

from deepdream_plugins.records import Option


def share(name: str, default: float, text: str) -> Option:
    """An option from 0 to 1."""
    return Option(name=name, type=float, default=default, minimum=0, maximum=1, help=text)


def factor(name: str, text: str, *, minimum: float = 0.0, maximum: float = 4.0) -> Option:
    """An option that changes nothing at 1."""
    return Option(name=name, type=float, default=1.0, minimum=minimum, maximum=maximum, help=text)

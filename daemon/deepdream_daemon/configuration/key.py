"""One key of ``config.toml``, declared once where its value lives: a field of a settings' dataclass.

Reading it (:mod:`deepdream_daemon.configuration.tables`), the JSON schema for editors and ``deepdream config keys``
all come from the :class:`Key`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Type = Literal["number", "integer", "boolean", "text", "path", "strings", "names", "digests"]

_METADATA = "deepdream key"
NEEDED: Final = object()
"""The default of a key that has none."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of the file: the dataclass's field ``field`` is called ``name`` there, and stands in ``table`` if not all
    keys of the dataclass share one.

    ``minimum`` and ``maximum`` are inclusive, and ``why`` explains them. ``auto`` says that ``"auto"`` is a value too,
    and the default; it reads as ``None``. ``pattern`` is what a text, or each item of several, must match as a whole,
    and then ``choices`` are examples of it. ``advice`` follows the message about a wrong text.
    """

    field: str
    name: str
    type: Type
    help: str
    default: Any
    table: str = ""
    minimum: float | None = None
    maximum: float | None = None
    why: str = ""
    auto: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    advice: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether the file must say it."""
        return self.default is NEEDED


def key(type: Type, default: Any = NEEDED, *, help: str, **facts: Any) -> Any:
    """Return a dataclass field that is read from a :class:`Key` with these ``facts``.

    The field has the same default, unless it is a path's, which depends on where the file is.
    """
    metadata = {_METADATA: {"type": type, "default": default, "help": help, **facts}}
    if default is NEEDED or (type == "path" and default is not None):
        return field(metadata=metadata)
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), hash=False, metadata=metadata)
    return field(default=default, hash=type != "names", metadata=metadata)


def keys_of(settings: type[Any]) -> Iterator[Key]:
    """Yield the keys that a settings' dataclass is read from, in its order."""
    for each in dataclasses.fields(settings):
        if _METADATA in each.metadata:
            yield Key(**{"field": each.name, "name": each.name, **each.metadata[_METADATA]})

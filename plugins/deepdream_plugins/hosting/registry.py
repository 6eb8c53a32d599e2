"""What the host knows of each plugin: where it came from, what it provides, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from deepdream_plugins.hookspecs import Kind
from deepdream_plugins.hosting.loading import TRAINED, Candidate, Origin
from deepdream_plugins.hosting.printing import lines_printed

Spec_co = TypeVar("Spec_co", covariant=True)
State = Literal["active", "failed", "off", "disabled"]
Records = Mapping[Kind, Mapping[str, "Owned[Any]"]]


@dataclass(frozen=True, kw_only=True)
class Owned(Generic[Spec_co]):
    """A record and the name of the plugin that provides it."""

    spec: Spec_co
    owner: str


@dataclass(frozen=True, kw_only=True)
class PluginInfo:
    """A plugin as ``deepdream plugins`` shows it.

    ``source`` is where its code is, ``package`` the distribution that it came with, ``sha256`` the hash of its code.
    ``reason`` says why it is not active, and what to do; ``note`` what else its user should know.
    """

    name: str
    version: str
    source: str
    package: str
    origin: Origin
    sha256: str
    state: State
    reason: str = ""
    note: str = ""


@dataclass
class Entry:
    """A plugin of a host."""

    candidate: Candidate
    state: State
    reason: str = ""
    plugin: object = None
    is_empty: bool = False
    printed_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.printed_before = lines_printed(self.candidate.name)

    @property
    def name(self) -> str:
        return self.candidate.name

    @cached_property
    def _sha256(self) -> str:
        try:
            return self.candidate.sha256()
        except OSError:
            return ""

    def info(self, disabled: Mapping[str, str]) -> PluginInfo:
        """Return what there is to say now; ``disabled`` are the host's disabled plugins."""
        candidate, state, reason = self.candidate, self.state, self.reason
        if state == "active" and self.name in disabled:
            state, reason = "disabled", disabled[self.name]
        lines = 0 if candidate.origin == "built-in" else lines_printed(self.name) - self.printed_before
        return PluginInfo(
            name=candidate.name,
            version=candidate.version,
            source=candidate.source,
            package=candidate.package,
            origin=candidate.origin,
            sha256=self._sha256,
            state=state,
            reason=reason,
            note="; ".join(self._notes(lines)),
        )

    def _notes(self, lines: int) -> Iterator[str]:
        if self.name == TRAINED and self.state == "active" and (note := getattr(self.plugin, "note", "")):
            yield note
        elif self.is_empty and self.state == "active":
            yield "it provides nothing: its hooks have returned no records"
        if lines:
            yield f"it printed {lines} line{'s' * (lines != 1)}, kept out of the program's output"

"""A record of a plugin with a value for each of its options, as a recipe holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.options import Item, Value
from deepdream_plugins.records import AscentSpec, File, FilterSpec, ObjectiveSpec, ScheduleSpec, SinkSpec, TransformSpec

Spec = TypeVar("Spec", ObjectiveSpec, AscentSpec, TransformSpec, ScheduleSpec, FilterSpec, SinkSpec)


@dataclass(frozen=True, kw_only=True)
class Configured(Generic[Spec]):
    """A record of the plugin ``owner`` with a value for each of its options.

    ``places`` says where the options that somebody wrote stand, such as ``config.toml:7: recipes.x.objective.layer``;
    under ``name`` it has the record's own place.
    """

    spec: Spec
    owner: str
    options: Mapping[str, Value]
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def guard(self, word: str) -> Guard:
        """Return what its functions are called by, and blamed with; ``word`` is the kind of record."""
        return Guard(f"the {word} {self.spec.name!r}", self.owner)

    def files(self) -> dict[str, str]:
        """Return the paths of the files that its options name."""
        named = {option.name: str(self.options[option.name]) for option in self.spec.options if option.type is File}
        return {name: path for name, path in named.items() if path}

    def to_dict(self, *, paths: bool = True) -> dict[str, Item | list[Item]]:
        """Return what a recipe says to get this, JSON-safe; without ``paths`` files are told by their names alone."""
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
        if not paths:
            listed |= {name: Path(path).name for name, path in self.files().items()}
        return {"name": self.spec.name, **listed}

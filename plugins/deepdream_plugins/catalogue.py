"""The catalogue: all models, objectives, ascents, transforms and filters by name, each with its plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from deepdream_engine.errors import unknown
from deepdream_plugins.hookspecs import (
    ASCENTS,
    MODELS,
    OBJECTIVES,
    POSTFILTERS,
    PREFILTERS,
    SCHEDULES,
    SINKS,
    TRANSFORMS,
    Kind,
)
from deepdream_plugins.hosting.host import Owned, PluginHost, PluginInfo
from deepdream_plugins.options import Where
from deepdream_plugins.records import (
    AscentSpec,
    FilterSpec,
    ModelSpec,
    ObjectiveSpec,
    ScheduleSpec,
    SinkSpec,
    TransformSpec,
)
from deepdream_plugins.selection import Selection
from deepdream_plugins.unknown_name import UnknownName

Spec = TypeVar("Spec")


class Shelf(Mapping[str, Owned[Spec]]):
    """The records of one kind; looking up an unknown name says which names there are."""

    def __init__(self, host: PluginHost, kind: Kind) -> None:
        self._records: Mapping[str, Owned[Spec]] = host.records(kind)
        self._word = kind.word
        self._host = host

    def __getitem__(self, name: str) -> Owned[Spec]:
        try:
            return self._records[name]
        except KeyError:
            raise self.missing(self._word, name, self._records) from None

    def missing(self, word: str, name: str, choices: Iterable[str]) -> UnknownName:
        """Return the error that there is no such ``word`` called ``name``, and why it may be missing here."""
        unavailable = self._host.unavailable
        why = " ".join(part for part in (unavailable, self._installed(name)) if part)
        return UnknownName(f"{unknown(word, name, choices)}{why and f' {why}'}", unavailable)

    def _installed(self, name: str) -> str:
        """Return that a plugin is off which bears the name that is looked for."""
        if name not in self._host.not_enabled:
            return ""
        return f"The plugin {name!r} is installed but off: add it to [plugins] enable."

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


class Catalogue:
    """What the plugins of one host provide."""

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.models: Shelf[ModelSpec] = Shelf(host, MODELS)
        self.objectives: Shelf[ObjectiveSpec] = Shelf(host, OBJECTIVES)
        self.ascents: Shelf[AscentSpec] = Shelf(host, ASCENTS)
        self.transforms: Shelf[TransformSpec] = Shelf(host, TRANSFORMS)
        self.schedules: Shelf[ScheduleSpec] = Shelf(host, SCHEDULES)
        self.prefilters: Shelf[FilterSpec] = Shelf(host, PREFILTERS)
        self.postfilters: Shelf[FilterSpec] = Shelf(host, POSTFILTERS)
        self.sinks: Shelf[SinkSpec] = Shelf(host, SINKS)

    @property
    def plugins(self) -> Sequence[PluginInfo]:
        """All plugins as they are now, see :attr:`PluginHost.plugins`."""
        return self.host.plugins


def load_catalogue(
    selection: Selection | None = None, where: Where | None = None, *, lenient: bool = False
) -> Catalogue:
    """Load the plugins (see :class:`~deepdream_plugins.hosting.host.PluginHost`) and return what they provide."""
    return Catalogue(PluginHost(selection, where, lenient=lenient))

"""The catalogue: all models, objectives, ascents, transforms and filters by name, each with its plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from deepdream_engine.errors import BadOption, unknown
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
from deepdream_plugins.host import Owned, PluginHost, PluginInfo
from deepdream_plugins.loading import NO_PLUGINS
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

Spec = TypeVar("Spec")


class UnknownName(BadOption, KeyError):
    """A name that no plugin provides; also a ``KeyError``, as a :class:`Mapping` must raise."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


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
            raise UnknownName(f"{unknown(self._word, name, self._records)}{self._why()}") from None

    def _why(self) -> str:
        """Return why a name that somebody knows may not be here."""
        selection = self._host.selection
        said = ""
        if failed := self._host.failed:
            said = f" (Failed to load: {', '.join(failed)}; see: deepdream plugins)"
        if not selection.third_party and (selection.enable or selection.folder or selection.models):
            said += f" If a plugin provides it: {NO_PLUGINS}."
        return said

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


class Catalogue:
    """What the plugins of one host provide."""

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.models: Mapping[str, Owned[ModelSpec]] = Shelf(host, MODELS)
        self.objectives: Mapping[str, Owned[ObjectiveSpec]] = Shelf(host, OBJECTIVES)
        self.ascents: Mapping[str, Owned[AscentSpec]] = Shelf(host, ASCENTS)
        self.transforms: Mapping[str, Owned[TransformSpec]] = Shelf(host, TRANSFORMS)
        self.schedules: Mapping[str, Owned[ScheduleSpec]] = Shelf(host, SCHEDULES)
        self.prefilters: Mapping[str, Owned[FilterSpec]] = Shelf(host, PREFILTERS)
        self.postfilters: Mapping[str, Owned[FilterSpec]] = Shelf(host, POSTFILTERS)
        self.sinks: Mapping[str, Owned[SinkSpec]] = Shelf(host, SINKS)

    @property
    def plugins(self) -> Sequence[PluginInfo]:
        """All plugins as they are now, see :attr:`PluginHost.plugins`."""
        return self.host.plugins


def load_catalogue(selection: Selection | None = None, where: Where | None = None) -> Catalogue:
    """Load the plugins (see :class:`~deepdream_plugins.host.PluginHost`) and return what they provide."""
    return Catalogue(PluginHost(selection, where))

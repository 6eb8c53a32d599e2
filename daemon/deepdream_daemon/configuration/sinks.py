"""The sinks that the watched folders name, looked up and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption
from deepdream_plugins.catalogue import Catalogue
from deepdream_plugins.configured import Configured
from deepdream_plugins.layers import Placed
from deepdream_plugins.looking_up import configured_list
from deepdream_plugins.records import SinkSpec

FolderSinks = Mapping[Path, tuple[Configured[SinkSpec], ...]]
"""By input folder."""


def resolve_sinks(settings: Settings, catalogue: Catalogue, where: Callable[..., str]) -> FolderSinks:
    """Return the sinks of each watched folder; anything wrong with one is a :class:`BadOption` with its place."""
    found = {}
    for index, folder in enumerate(settings.folders):
        placed = Placed(list(folder.sinks), lambda *keys, index=index: where("folders", index, "sinks", *keys), 0)
        found[folder.input] = configured_list(catalogue.sinks, "sink", placed)
        for sink in found[folder.input]:
            _check(sink)
    return found


def _check(sink: Configured[SinkSpec]) -> None:
    if sink.spec.check is None:
        return
    try:
        sink.spec.check(**sink.options)
    except BadOption as error:
        option = str(error).split(" ", 1)[0].rstrip(":")
        raise BadOption(f"{sink.places.get(option, sink.places['name'])}: {error}") from None

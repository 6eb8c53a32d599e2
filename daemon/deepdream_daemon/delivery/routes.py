"""Routes: which sinks the dreams of a watched folder go to, and under which names the journal knows them.

A route's name outlives its options: whoever corrects a wrong address has the dreams delivered to the right one.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSinks
from deepdream_plugins.configured import Configured
from deepdream_plugins.records import SinkSpec

FOLDER = "sinks"


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way of the dreams of the watched folder ``folder``, published below ``output_folder``, to a sink. ``state``
    is the folder that this sink may remember things in."""

    name: str
    folder: Path
    output_folder: Path
    sink: Configured[SinkSpec]
    state: Path

    def __str__(self) -> str:
        return f"the sink {self.name!r} of {os.fspath(self.folder)!r}"


def routes_of(settings: Settings, sinks: FolderSinks) -> tuple[Route, ...]:
    """Return the routes of all watched folders, in the order of the configuration."""
    found = []
    for folder in settings.folders:
        seen: Counter[str] = Counter()
        for sink in sinks.get(folder.input, ()):
            seen[sink.spec.name] += 1
            count = seen[sink.spec.name]
            name = sink.spec.name if count == 1 else f"{sink.spec.name}-{count}"
            digest = hashlib.sha256(os.fsencode(folder.input)).hexdigest()[:16]
            state = settings.state / FOLDER / f"{name}-{digest}"
            found.append(Route(name=name, folder=folder.input, output_folder=folder.output, sink=sink, state=state))
    return tuple(found)


def names_by_folder(routes: tuple[Route, ...]) -> dict[Path, tuple[str, ...]]:
    """Return the names of the routes of each watched folder, for the journal."""
    return {
        folder: tuple(route.name for route in routes if route.folder == folder)
        for folder in dict.fromkeys(route.folder for route in routes)
    }

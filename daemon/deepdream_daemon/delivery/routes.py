"""Routes: which sinks the dreams of a watched folder go to, and under which names the journal knows them.

A name stays with its entry in the configuration, wherever that stands among its like: what was on its way to one
address never goes to that of another because the order has changed. An entry that was edited in its place keeps its
name, so that whoever corrects a wrong address has the dreams delivered to the right one.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.configuration.sinks import FolderSink, FolderSinks
from deepdream_daemon.journal.notes import KnownSink
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.resolving.configured import Configured

FOLDER = "sinks"


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way of the dreams of the watched folder ``folder``, published below ``output_folder``, to a sink. ``state``
    is the folder that this sink may remember things in; nothing may be put into the folders ``watched``. Without
    ``sink`` what is for it waits, for ``reason``."""

    name: str
    folder: Path
    output_folder: Path
    sink: Configured[SinkSpec] | None
    state: Path
    known: KnownSink
    watched: tuple[Path, ...]
    reason: str = ""

    def __str__(self) -> str:
        return f"the sink {self.name!r} of {os.fspath(self.folder)!r}"


def routes_of(
    settings: Settings, sinks: FolderSinks, known: Mapping[Path, Sequence[KnownSink]] | None = None
) -> tuple[Route, ...]:
    """Return the routes of all watched folders, in the order of the configuration; ``known`` are those of the last
    time."""
    found = []
    for folder in settings.folders:
        entries = sinks.get(folder.input, ())
        digest = hashlib.sha256(os.fsencode(folder.input)).hexdigest()[:16]
        for entry, name in zip(entries, _names(entries, (known or {}).get(folder.input, ())), strict=True):
            route = Route(
                name=name,
                folder=folder.input,
                output_folder=folder.output,
                sink=entry.sink,
                state=settings.state / FOLDER / f"{name}-{digest}",
                known=KnownSink(name=name, sink=entry.name, written=entry.written),
                watched=tuple(each.input for each in settings.folders),
                reason=entry.reason,
            )
            found.append(route)
    return tuple(found)


def _names(entries: Sequence[FolderSink], known: Sequence[KnownSink]) -> list[str]:
    """Return a name for each of a folder's entries."""
    left = list(known)
    names: dict[int, str] = {}
    for index, entry in enumerate(entries):
        again = next((one for one in left if (one.sink, one.written) == (entry.name, entry.written)), None)
        if again is not None:
            names[index] = again.name
            left.remove(again)
    for sink in dict.fromkeys(entry.name for entry in entries):
        now = [index for index, entry in enumerate(entries) if entry.name == sink]
        before = [one for one in known if one.sink == sink]
        changed = [place for place, index in enumerate(now) if index not in names]
        if len(now) == len(before) and len(changed) == 1 and before[changed[0]] in left:  # edited in its place
            names[now[changed[0]]] = before[changed[0]].name
    taken = {*names.values(), *(one.name for one in known)}
    for index, entry in enumerate(entries):
        if index not in names:
            numbered = (f"{entry.name}-{count}" for count in itertools.count(2))
            names[index] = next(name for name in itertools.chain([entry.name], numbered) if name not in taken)
            taken.add(names[index])
    return [names[index] for index in range(len(entries))]


def names_by_folder(routes: tuple[Route, ...]) -> dict[Path, tuple[str, ...]]:
    """Return the names of the routes of each watched folder, for the journal."""
    return {folder: tuple(route.name for route in of_folder) for folder, of_folder in _by_folder(routes)}


def known_by_folder(routes: tuple[Route, ...]) -> dict[Path, tuple[KnownSink, ...]]:
    """Return what the journal remembers of the routes until the next start."""
    return {folder: tuple(route.known for route in of_folder) for folder, of_folder in _by_folder(routes)}


def _by_folder(routes: tuple[Route, ...]) -> Iterable[tuple[Path, list[Route]]]:
    for folder in dict.fromkeys(route.folder for route in routes):
        yield folder, [route for route in routes if route.folder == folder]

"""The sinks that the watched folders name, looked up and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepdream_daemon.configuration.apart import within
from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.absent import absence
from deepdream_engine.errors import BadOption
from deepdream_plugins.catalogue import Catalogue
from deepdream_plugins.expanding import expanded_where_set
from deepdream_plugins.hosting.guarding import PluginFailure
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.layers import Placed
from deepdream_plugins.resolving.looking_up import configured_list


@dataclass(frozen=True, kw_only=True)
class FolderSink:
    """An entry of a folder's ``sinks``: what it names, and a digest of the options as they are ``written``, by which
    it is known again. Without ``sink``, its plugin cannot be used at the moment, for ``reason``."""

    name: str
    written: str
    sink: Configured[SinkSpec] | None
    reason: str = ""


FolderSinks = Mapping[Path, tuple[FolderSink, ...]]
"""By input folder, in the order of the configuration."""


def resolve_sinks(settings: Settings, catalogue: Catalogue, where: Callable[..., str]) -> FolderSinks:
    """Return the sinks of each watched folder; the first that is wrong is a :class:`BadOption` with its place."""
    found, wrong = look_up_sinks(settings, catalogue, where)
    for error in wrong:
        raise error
    return found


def look_up_sinks(
    settings: Settings, catalogue: Catalogue, where: Callable[..., str]
) -> tuple[FolderSinks, list[BadOption]]:
    """Return the same, with all that is wrong with the others. A sink whose plugin has failed or is switched off is
    not wrong: what is for it waits."""
    found: dict[Path, tuple[FolderSink, ...]] = {}
    wrong: list[BadOption] = []
    for index, folder in enumerate(settings.folders):
        entries = []
        for position, item in enumerate(folder.sinks):
            placed = Placed([item], lambda *keys, at=(index, "sinks", position): where("folders", *at, *keys[1:]), 0)
            try:
                entries.append(_look_up(item, placed, folder, settings, catalogue))
            except BadOption as error:
                wrong.append(error)
        found[folder.input] = tuple(entries)
    return found, wrong


def _look_up(
    item: str | Mapping[str, object], placed: Placed, folder: FolderSettings, settings: Settings, catalogue: Catalogue
) -> FolderSink:
    table = {"name": item} if isinstance(item, str) else dict(item)
    name, written = str(table["name"]), digest_of({key: value for key, value in table.items() if key != "name"})
    base_dir = settings.path.parent if settings.path else Path()
    try:
        (sink,) = configured_list(catalogue.sinks, "sink", placed, base_dir)
        _check_apart(sink, folder.output, [each.input for each in settings.folders])
        _check(sink, catalogue.host.selection.load_seconds)
    except PluginFailure as error:
        return FolderSink(name=name, written=written, sink=None, reason=str(error))
    except BadOption as error:
        if reason := absence(error):
            return FolderSink(name=name, written=written, sink=None, reason=reason)
        raise
    return FolderSink(name=name, written=written, sink=sink)


def digest_of(options: Mapping[str, object]) -> str:
    """Return a digest of options as they stand in the file, where secrets are names of variables."""
    text = json.dumps(options, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _check(sink: Configured[SinkSpec], limit_seconds: float) -> None:
    if sink.spec.check is None:
        return
    check = partial(sink.spec.check, **sink.options)
    try:
        sink.guard("sink").call(check, limit_seconds=limit_seconds, near=sink.spec.check)
    except BadOption as error:
        option = str(error).split(" ", 1)[0].rstrip(":")
        raise BadOption(f"{sink.places.get(option, sink.places['name'])}: {error}") from None


def _check_apart(sink: Configured[SinkSpec], output: Path, inputs: Sequence[Path]) -> None:
    """Raise :class:`BadOption` for an option that reads like a place in a watched folder: what a sink writes there
    would be dreamt, and brought there again.
    """
    for name, value in sink.options.items():
        for each in value if isinstance(value, tuple) else (value,):
            place = place_of(each, output) if isinstance(each, str) and each else None
            watched = place and next((folder for folder in inputs if within(place, folder)), None)
            if watched:
                raise BadOption(
                    f"{sink.places.get(name, sink.places['name'])}: {each!r} leads into the watched folder "
                    f"{str(watched)!r}, so what the sink puts there would be dreamt. Choose a folder outside of it."
                )


def place_of(text: str, output: Path) -> Path | None:
    """Return the place on this machine that ``text``, an option of a sink, names, if it can be one."""
    path = expanded_where_set(text).removeprefix("file://")
    if "://" in path or "\0" in path:
        return None
    try:
        return (output / Path(path).expanduser()).resolve()
    except (OSError, RuntimeError):
        return None

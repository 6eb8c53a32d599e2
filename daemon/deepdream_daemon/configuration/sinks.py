"""The sinks that the watched folders name, looked up and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from deepdream_daemon.configuration.apart import within
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
    base_dir = settings.path.parent if settings.path else Path()
    for index, folder in enumerate(settings.folders):
        placed = Placed(list(folder.sinks), lambda *keys, index=index: where("folders", index, "sinks", *keys), 0)
        found[folder.input] = configured_list(catalogue.sinks, "sink", placed, base_dir)
        for sink in found[folder.input]:
            _check(sink)
            _check_apart(sink, folder.output, [each.input for each in settings.folders])
    return found


def _check(sink: Configured[SinkSpec]) -> None:
    if sink.spec.check is None:
        return
    try:
        sink.guard("sink").call(partial(sink.spec.check, **sink.options))
    except BadOption as error:
        option = str(error).split(" ", 1)[0].rstrip(":")
        raise BadOption(f"{sink.places.get(option, sink.places['name'])}: {error}") from None


def _check_apart(sink: Configured[SinkSpec], output: Path, inputs: Sequence[Path]) -> None:
    """Raise :class:`BadOption` for an option that reads like a place in a watched folder: what a sink writes there
    would be dreamt, and brought there again.
    """
    for name, value in sink.options.items():
        for each in value if isinstance(value, tuple) else (value,):
            place = _place(each, output) if isinstance(each, str) and each else None
            watched = place and next((folder for folder in inputs if within(place, folder)), None)
            if watched:
                raise BadOption(
                    f"{sink.places.get(name, sink.places['name'])}: {each!r} leads into the watched folder "
                    f"{str(watched)!r}, so what the sink puts there would be dreamt. Choose a folder outside of it."
                )


def _place(text: str, output: Path) -> Path | None:
    """Return the place on this machine that ``text`` names, if it can be one."""
    path = text.removeprefix("file://")
    if "://" in path or "\0" in path:
        return None
    try:
        return (output / Path(path).expanduser()).resolve()
    except (OSError, RuntimeError):
        return None

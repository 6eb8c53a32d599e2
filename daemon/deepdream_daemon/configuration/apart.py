"""Folders that must stay apart, so that the daemon never dreams its own dreams and no picture is taken twice.

Compared are real places: symbolic links, bind mounts and case-insensitive disks do not deceive it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_engine.errors import BadOption

Where = Callable[..., str]


def check_apart(settings: Settings, where: Where) -> None:
    """Raise :class:`BadOption` when an output, the state or the plugins overlap with a watched input."""
    for index, folder in enumerate(settings.folders):
        watched = f"the watched input {_quoted(folder.input)}"
        for other, each in enumerate(settings.folders):
            if relation := _relation(each.output, folder.input):
                raise BadOption(
                    f"{where('folders', other, 'output')}: the output {_quoted(each.output)} {relation} "
                    f"{watched}, so dreams would be dreamt again. Choose a folder beside it, such as "
                    f"{_quoted(_beside(settings.folders, folder.input))}."
                )
            if other > index and (relation := _relation(each.input, folder.input)):
                raise BadOption(
                    f"{where('folders', other, 'input')}: {_quoted(each.input)} {relation} {watched} "
                    f"({where('folders', index)}), so pictures would be taken twice. For several recipes, "
                    "name sub-folders of one input after them."
                )
        relation = _relation(settings.state, folder.input)
        if relation and relation != "contains":
            raise BadOption(
                f"{where('daemon', 'state')}: the state folder {_quoted(settings.state)} {relation} "
                f"{watched}. Choose a folder outside of it."
            )
        plugins = settings.plugins.folder
        if plugins is not None and (relation := _relation(plugins, folder.input)):
            raise BadOption(
                f"{where('plugins', 'folder')}: the plugins folder {_quoted(plugins)} {relation} "
                f"{watched}: whoever may drop pictures there could run code. Choose another folder."
            )


def _beside(folders: tuple[FolderSettings, ...], watched: Path) -> Path:
    """Return a place that overlaps with no input: beside the outermost one that holds ``watched``."""
    around = (folder.input for folder in folders if within(watched, folder.input))
    outermost = min(around, key=lambda path: len(path.parts))
    return outermost.with_name(f"{outermost.name}-dreams")


def _relation(path: Path, other: Path) -> str:
    """Return how two places overlap, in words; empty when they do not."""
    inside, around = within(path, other), within(other, path)
    if inside and around:
        return "is the same folder as"
    if inside:
        return "is inside"
    return "contains" if around else ""


def within(inner: Path, outer: Path) -> bool:
    """Tell whether ``inner`` is ``outer`` or below it."""
    return any(path == outer or _same(path, outer) for path in (inner, *inner.parents))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _quoted(path: Path) -> str:
    return repr(str(path))

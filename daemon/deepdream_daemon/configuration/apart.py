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
    """Raise :class:`BadOption` when an output, the state, the plugins or the processed pictures overlap with a watched
    input, or when files of strangers would be put among the state or the plugins."""
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
            if each.processed is not None and (relation := _relation(each.processed, folder.input)):
                raise BadOption(
                    f"{where('folders', other, 'processed')}: the folder for processed pictures "
                    f"{_quoted(each.processed)} {relation} {watched}, so they would be dreamt again. Choose a folder "
                    f"beside it, such as {_quoted(_beside(settings.folders, folder.input, 'processed'))}."
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
        _check_strangers_files(settings, index, where)


def _check_strangers_files(settings: Settings, index: int, where: Where) -> None:
    """Files keep their names when they are moved, or copied through, and so could be taken for ours."""
    folder = settings.folders[index]
    places = {"processed": folder.processed, "output": folder.output if folder.copy_through else None}
    for key, place in places.items():
        if place is None:
            continue
        for what, ours in (("state", settings.state), ("plugins", settings.plugins.folder)):
            if ours is not None and (relation := _relation(place, ours)):
                raise BadOption(
                    f"{where('folders', index, key)}: {_quoted(place)} {relation} the {what} folder {_quoted(ours)}, "
                    f"so files that are dropped into {_quoted(folder.input)} could get there. Choose another folder."
                )


def _beside(folders: tuple[FolderSettings, ...], watched: Path, what: str = "dreams") -> Path:
    """Return a place that overlaps with no input: beside the outermost one that holds ``watched``."""
    around = (folder.input for folder in folders if within(watched, folder.input))
    outermost = min(around, key=lambda path: len(path.parts))
    return outermost.with_name(f"{outermost.name}-{what}")


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

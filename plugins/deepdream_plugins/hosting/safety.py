"""Where plugin files and networks may lie: where only the user writes, and no dropped file can reach.

A path is followed as the system follows it, link by link: each folder that it leads through must be as safe as the
file at its end, or what is there could be replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepdream_engine.errors import BadOption

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_folder(folder: Path, watched: Sequence[Path]) -> None:
    """Raise :class:`BadOption` unless plugin files in ``folder`` are as safe as the configuration that names
    it.

    Whatever writes into a watched folder (a camera, a share, a web upload) must not thereby be able to run
    code.
    """
    at = f"the plugins folder {folder}"
    if not folder.is_dir():
        raise BadOption(f"{at} is not a folder; make it, or remove the option.")
    folder = folder.absolute()
    real = folder.resolve()
    files = [path for path in sorted(folder.glob("*.py")) if path.is_file()]
    for place in watched:
        if _overlap(real, place.resolve()):
            raise BadOption(
                f"{at} is, contains or lies inside the watched folder {place}; "
                f"whoever drops a file there could run code. Choose a folder elsewhere."
            )
    for path in (folder, *files):
        if through := open_to(path, watched):
            raise BadOption(
                f"the plugins folder: {path} is reached through the watched folder {through}, where whoever drops "
                f"files could put other code in its place; copy it instead of linking it."
            )
        _check_way(path)
    for path in files:
        if path.stat().st_nlink > 1:
            raise BadOption(
                f"the plugins folder: {path} has another name somewhere (a hard link), under which it could be "
                f"changed; put a copy in its place: cp '{path}' '{path}.new' && mv '{path}.new' '{path}'"
            )
    for place in watched:
        for link in _links(place):
            if _overlap(real, link.resolve()):
                raise BadOption(f"{at} is linked from the watched folder by {link}; remove that link.")


def open_to(file: Path, watched: Sequence[Path]) -> Path | None:
    """Return the folder of ``watched`` in which ``file``, an absolute path that is there, may be replaced: it lies in
    it, or links lead through it."""
    places = {place.resolve(): place for place in watched}
    for entry in _way_to(file):
        if found := next((place for inside, place in places.items() if entry.parent.is_relative_to(inside)), None):
            return found
    return None


def _way_to(path: Path) -> Iterator[Path]:
    """Yield all that an absolute path leads through, each as a name in a folder without links: the path itself, every
    folder above it, and the same of every link on the way."""
    waiting = [path]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        for each in (path, *path.parents):
            real = each.parent.resolve()
            entry = real / each.name
            if entry in seen or each.name in ("", ".."):
                continue
            seen.add(entry)
            yield entry
            if entry.is_symlink():
                waiting.append(real / entry.readlink())


def _check_way(path: Path) -> None:
    """Refuse what others own or may write, or could put something else in the place of."""
    ends = (path, path.resolve())
    for entry in _way_to(path):
        status = entry.lstat()
        if status.st_uid not in (0, os.geteuid()):
            raise BadOption(
                f"the plugins folder: {entry} belongs to another user, who could change what runs; own it"
                f"{'' if entry == path else f', or do not go through it to {path}'}."
            )
        if stat.S_ISLNK(status.st_mode):
            continue  # only the folder that it lies in says who may replace it
        # In a folder like /tmp, where all may write, only owners may put something else in the place of a file.
        is_shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX and entry not in ends
        if status.st_mode & _OTHERS_WRITE and not is_shared:
            through = "" if entry == path else f", through which {path} is reached,"
            raise BadOption(
                f"the plugins folder: others may write to {entry}{through} and so run code as you; run: "
                f"chmod go-w '{entry}'"
            )


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _links(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                yield path

"""The scan is the truth about what is in a folder: a walk over names that looks closer only at what is new.

It follows no symbolic link, opens nothing, and gives a reason for everything that it leaves aside.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from deepdream_daemon.intake import companions
from deepdream_daemon.intake.quiet import Quiet
from deepdream_daemon.intake.sources import SIDE_SUFFIX, endings_of, has_side_file, stamp
from deepdream_daemon.publishing.publish import TEMP_PREFIX

_PARTS = (SIDE_SUFFIX, *(f".{name}." for name in companions.NAMES))
Known = Callable[[Path], Mapping[str, str]]
"""The fingerprints of the files of a directory that the journal knows, by name."""
IS_FOLDER = "it is a folder; the pictures in it are taken"


def refuse_name(name: str, ignore: Sequence[str]) -> str | None:
    """Return why a file or folder of this name is not looked at, or ``None``."""
    if not _matcher(tuple(ignore))(name):
        return None
    if name.startswith(TEMP_PREFIX):
        return "it is a temporary file of this daemon"
    for pattern in ignore:
        if fnmatch.fnmatchcase(name, pattern):
            return f"its name matches the ignored pattern {pattern!r}"
    return None


def left_out(path: Path, root: Path, ignore: Sequence[str]) -> str | None:
    """Return why nothing at ``path`` is looked at, by its name or that of a folder above it, or for a
    symbolic link.
    """
    step = root
    for part in path.relative_to(root).parts:
        step /= part
        reason = refuse_name(part, ignore)
        if reason is None and stat.S_ISLNK(os.lstat(step).st_mode):
            reason = "it is a symbolic link, and none is followed"
        if reason is not None:
            return reason if step == path else f"its folder {os.fspath(step)!r} is left out: {reason}"
    return None


def classify(path: Path, root: Path, ignore: Sequence[str]) -> str | None:
    """Return why the file at ``path`` below ``root`` is not taken, or ``None`` when it would be.

    A file that is not there is an ``OSError``.
    """
    if reason := left_out(path, root, ignore):
        return reason
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return IS_FOLDER
    if not stat.S_ISREG(mode):
        return "it is no regular file but a device, a FIFO or a socket"
    if path.name.endswith(SIDE_SUFFIX):
        (picture,) = pictures_of(path)
        return f"it is a side file: it changes the recipe of {picture.name!r} beside it"
    return companions.explained(path.name)


def walk(
    root: Path,
    known: Known,
    ignore: Sequence[str],
    *,
    look_at_all: bool,
    on_error: Callable[[Path, OSError], None],
    quiet: Quiet | None = None,
) -> Iterator[Path]:
    """Yield the files below ``root`` that the journal does not know, or knows otherwise.

    ``look_at_all`` yields every file; else one that is known is yielded only when its side file or a companion has
    come or gone. Side files and companions are not yielded themselves. With ``quiet``, directories that were quiet are
    passed over quickly, and known files are yielded when it is their turn. A directory that is there but cannot be
    read is told to ``on_error`` and skipped: what is in it is neither new nor deleted.
    """
    todo, refused = [root], _matcher(tuple(ignore))
    while todo:
        directory = todo.pop()
        try:
            names, folders = _names(directory, refused)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone since it was found
        except OSError as error:
            on_error(directory, error)
            continue
        todo += [directory / name for name in sorted(folders, reverse=True)]
        if not names:
            continue
        due = () if quiet is None else quiet.due(directory, names)
        if quiet is not None and not look_at_all and quiet.is_same(directory, names):
            if due:
                yield from _changed(directory, [name for name in due if not refused(name)], known(directory))
            continue
        files = {name: None for name in names if not refused(name)}
        before = {} if look_at_all else known(directory)
        accompanied, due = may_be_accompanied(files), frozenset(due)
        beside = companions.by_photo(files) if accompanied else {}
        is_quiet = not look_at_all
        for name in files:
            if accompanied and is_beside(name):
                continue
            seen = before.get(name)
            if (
                seen is None
                or has_side_file(seen) != (accompanied and name + SIDE_SUFFIX in files)
                or endings_of(seen) != (beside.get(os.path.splitext(name)[0], []) if accompanied else [])  # noqa: PTH122
            ):
                is_quiet = False
                yield directory / name
            elif name in due:
                yield from _changed(directory, [name], before)
        if quiet is not None:
            quiet.note(directory, names, is_quiet=is_quiet)


def _changed(directory: Path, names: Iterable[str], known: Mapping[str, str]) -> Iterator[Path]:
    """Yield those of the known files that look otherwise, and those that have something beside them, which is not
    looked at here.
    """
    base = os.path.join(directory, "")  # noqa: PTH118  (a path for each takes longer than the look)
    for name in names:
        if (seen := known.get(name)) is None:
            continue  # a side file, say
        try:
            is_same = stamp(os.lstat(base + name)) == seen
        except FileNotFoundError:
            continue  # gone since it was found
        except OSError:
            is_same = False  # which is told of by whoever looks closer
        if not is_same:
            yield directory / name


def may_be_accompanied(names: Iterable[str]) -> bool:
    """Tell whether there may be a side file or a companion among ``names``: quicker than looking at each."""
    together = "/".join(names).lower()
    return any(part in together for part in _PARTS)


def is_beside(name: str) -> bool:
    """Tell whether a file of this name belongs to a picture beside it."""
    return name.endswith(SIDE_SUFFIX) or companions.parse(name) is not None


def _names(directory: Path, refused: Callable[[str], object]) -> tuple[list[str], list[str]]:
    """Return the names of all regular files in ``directory``, and those of the folders that are not refused."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            elif entry.is_dir(follow_symlinks=False) and not refused(entry.name):
                folders.append(entry.name)
    return files, folders


@lru_cache(maxsize=64)
def _matcher(ignore: tuple[str, ...]) -> Callable[[str], object]:
    """Return one test for all patterns, since a walk over 100,000 names makes it 100,000 times."""
    patterns = [fnmatch.translate(pattern) for pattern in (f"{TEMP_PREFIX}*", *ignore)]
    return re.compile("|".join(patterns)).match


def pictures_of(path: Path) -> list[Path]:
    """Return the pictures that a path is about: itself, or those beside a side file or a companion."""
    if path.name.endswith(SIDE_SUFFIX):
        return [path.with_name(path.name[: -len(SIDE_SUFFIX)])]
    return [path] if companions.parse(path.name) is None else companions.photos_of(path)

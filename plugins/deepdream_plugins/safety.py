"""Which folder may hold plugin files: one that only the user writes, and that no dropped file can reach."""

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
    real = folder.resolve()
    files = [path for path in sorted(folder.glob("*.py")) if path.is_file()]
    for path in [folder, *files]:
        _check_owner(path)
        _check_parents(path)
    for place in watched:
        real_place = place.resolve()
        if _overlap(real, real_place):
            raise BadOption(
                f"{at} is, contains or lies inside the watched folder {place}; "
                f"whoever drops a file there could run code. Choose a folder elsewhere."
            )
        for path in files:
            if path.resolve().is_relative_to(real_place):
                raise BadOption(f"{path} is a link into the watched folder {place}; copy it instead.")
        for link in _links(place):
            if _overlap(real, link.resolve()):
                raise BadOption(f"{at} is linked from the watched folder by {link}; remove that link.")


def _check_owner(path: Path) -> None:
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()):
        raise BadOption(f"the plugins folder: {path} belongs to another user, who could change what runs; own it.")
    if status.st_mode & _OTHERS_WRITE:
        raise BadOption(
            f"the plugins folder: others may write to {path} and so run code as you; run: chmod go-w '{path}'"
        )


def _check_parents(path: Path) -> None:
    """Refuse what others could put something else in the place of; in a folder like /tmp they may not, though they
    write there."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise BadOption(
                f"the plugins folder: anyone may write to {parent}, and so put other code in the place of {path}; run: "
                f"chmod o-w '{parent}'"
            )


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _links(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                yield path

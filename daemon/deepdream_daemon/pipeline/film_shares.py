"""Unfinished films that share one bound: the older ones come first, so that one of them can always go on.

Their spools lie beside each other, and are called so that their names rise with their age.
"""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

INDEX = "film.json"
"""What says of a spool which of its chunks count."""
_NAME = re.compile(r"\d{12}-[0-9a-f]{64}(-kept)?")


def spool_name(job: int, key: str) -> str:
    """Return what the spool of a job is called."""
    return f"{job:012d}-{key}"


def is_shared(name: str) -> bool:
    """Tell whether a folder of this name belongs to a film of those that share."""
    return _NAME.fullmatch(name) is not None


def older_bytes(spool: Path) -> int:
    """Return how much the films take that are older than that in the folder ``spool``."""
    if not is_shared(spool.name):
        return 0  # a film by itself
    older = [path for path in _siblings(spool) if path.name < spool.name and not path.name.startswith(spool.name)]
    return sum(map(size_of, older))


def size_of(folder: Path) -> int:
    """Return what lies in a folder, of which others may remove files; 0 if it is not there."""
    total = 0
    try:
        for entry in os.scandir(folder):
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        return 0
    return total


def no_room() -> OSError:
    """Return the error of a film that has to wait: it passes, as a full disk does."""
    return OSError(
        errno.ENOSPC, "the unfinished films take all that [daemon] films_gib allows, and the older ones come first"
    )


def _siblings(spool: Path) -> list[Path]:
    try:
        return [path for path in spool.parent.iterdir() if is_shared(path.name)]
    except FileNotFoundError:
        return []


def frames_kept(spool: Path) -> int:
    """Return how many frames of an unfinished film are dreamt for good."""
    try:
        return int(json.loads((spool / INDEX).read_bytes())["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0

"""What lies beside the pictures of a directory: its side files and companions, by one listing for many pictures.

Asking the disk for each name that a companion may have takes longer than all else that is done with a small picture.
A listing holds for one turn, in which everything is looked at that was told of before; and longer as long as its
directory has not changed. One that had changed just before may do so again within the same tick of its disk's clock,
so only a directory that had been quiet for a while is trusted with that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.intake.companions import parse
from deepdream_daemon.intake.scan import is_beside, may_be_accompanied
from deepdream_daemon.intake.sources import SIDE_SUFFIX

RECENT_SECONDS = 2.0
"""No disk's clock has longer ticks: FAT's."""
NAMES_FOR_A_PICTURE = 200
"""So many names are listed in the time in which the disk is asked about the companions of one picture."""
MOST_DIRECTORIES = 4096
_Seen = tuple[int, int, int, int]


@dataclass
class _Listing:
    names: frozenset[str] | None
    turn: int
    seen: _Seen | None
    to_ask: int
    """So many pictures are asked for one by one before the directory, which is large, is listed again."""


class Beside:
    """Remembers listings. Used by one thread."""

    def __init__(self) -> None:
        self._listings: dict[Path, _Listing] = {}
        self._turn = 0

    def next_turn(self) -> None:
        """What comes now was told of after the listings of the last turn."""
        self._turn += 1

    def names(self, directory: Path) -> frozenset[str] | None:
        """Return the names of all side files and companions in ``directory``; ``None`` if the disk is to be asked for
        each.
        """
        listing = self._listings.get(directory)
        if listing is not None:
            if listing.turn == self._turn or (listing.seen is not None and listing.seen == _seen(directory)):
                return listing.names
            if listing.to_ask > 0:
                listing.to_ask -= 1
                return None
        if len(self._listings) >= MOST_DIRECTORIES:
            self._listings.clear()
        seen = _seen(directory)  # before it is listed: what comes meanwhile makes it another one
        try:
            names = os.listdir(directory)  # noqa: PTH208  (names, not paths)
        except PermissionError:
            return None  # it may be entered all the same
        found: frozenset[str] | None = frozenset()
        if may_be_accompanied(names):
            found = frozenset(filter(is_beside, names))
            if _may_be_spelt_otherwise(found, names):
                found = None
        self._listings[directory] = _Listing(found, self._turn, seen, len(names) // NAMES_FOR_A_PICTURE)
        return found

    def forget(self, directory: Path) -> None:
        """What was found there contradicts the listing: a server's clock may be another one than ours."""
        self._listings.pop(directory, None)


def _may_be_spelt_otherwise(beside: Iterable[str], names: Iterable[str]) -> bool:
    """Tell whether any of ``beside`` belongs to a picture among ``names`` only if their disk does not tell small
    letters from capitals, which it alone knows."""
    owners = {owner for name in names for owner in (name, os.path.splitext(name)[0])}  # noqa: PTH122  (text)
    in_small = {owner.lower() for owner in owners}
    return any(owner not in owners and owner.lower() in in_small for owner in map(_owner, beside))


def _owner(name: str) -> str:
    """Return the name, or the name without its suffix, of the picture that a file of this name belongs to."""
    parsed = parse(name)
    return name.removesuffix(SIDE_SUFFIX) if parsed is None else parsed[0]


def _seen(directory: Path) -> _Seen | None:
    """Return what a directory looks like that has not changed for a while, else ``None``."""
    status = os.stat(directory)  # noqa: PTH116  (this runs for every file)
    if not 0 <= status.st_mtime <= time.time() - RECENT_SECONDS:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns

"""Directories that had nothing new in them when they were last walked through: as long as they have the same names,
these need not be compared with the journal again. So 100,000 files that nobody touches cost a rescan next to nothing.

Names do not tell of changes in place. For these a part of the files is looked at by each rescan, all of them in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

PARTS = 20
"""After so many rescans every file was looked at."""
LARGE = 2000
"""A directory of more files is looked at part by part, a smaller one at once."""


class Quiet:
    """What the rescans of one intake remember. Used by its thread alone; it is only a memory of the journal, and has to
    be told when that was changed by others."""

    def __init__(self) -> None:
        self._marks: dict[Path, int] = {}
        self._turn = 0

    def next_turn(self) -> None:
        """A rescan begins, which looks at the next part."""
        self._turn = (self._turn + 1) % PARTS

    def forget(self) -> None:
        """Nothing is known of any directory."""
        self._marks.clear()

    def is_same(self, directory: Path, names: Sequence[str]) -> bool:
        """Tell whether the directory has just the names that it had when nothing was new."""
        return self._marks.get(directory) == hash(tuple(names))

    def note(self, directory: Path, names: Sequence[str], *, is_quiet: bool) -> None:
        """Remember whether nothing was new."""
        if is_quiet:
            self._marks[directory] = hash(tuple(names))
        else:
            self._marks.pop(directory, None)

    def due(self, directory: Path, names: Sequence[str]) -> Iterable[str]:
        """Return those names of a directory whose turn it is to be looked at."""
        if len(names) > LARGE:
            return [name for name in names if hash(name) % PARTS == self._turn]
        return names if hash(directory) % PARTS == self._turn else ()

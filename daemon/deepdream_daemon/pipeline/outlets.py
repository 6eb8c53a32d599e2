"""Whether a dream can be published: the output folder is there, with space; and if not, how much that concerns."""

from __future__ import annotations

from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.gates import OutputUnavailable, blocks_output
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.publish import check_space, make_directory
from deepdream_daemon.publishing.space import TooLittleSpace, check_floor

_MOST_TRIED_BYTES = 256 << 20
"""So much is written to find out whether something can be: what is tried is in memory, unlike a film."""


class Outlets:
    """Looks at output folders, of which ``floor_gib`` shall stay free. Safe in any thread."""

    def __init__(self, journal: Journal, floor_gib: float, token: str) -> None:
        self._journal = journal
        self._floor_gib = floor_gib
        self._token = token

    def check(self, folder: FolderSettings, directory: Path, size_bytes: int) -> None:
        """Raise what is wrong before anything is written: an ``OSError``, or ``OutputUnavailable`` for too little
        space."""
        check_place(self._journal, folder.output)
        place = directory if directory.is_dir() else folder.output  # another disk may be mounted on a sub-folder
        try:
            check_floor(place, self._floor_gib, size_bytes)
        except TooLittleSpace as error:
            raise OutputUnavailable(self._full_place(folder, directory, size_bytes), size_bytes, error) from error

    def blame(self, folder: FolderSettings, directory: Path, size_bytes: int, error: OSError) -> OutputUnavailable:
        """Find out whether nothing can be published for the folder, or only nothing in this directory."""
        try:
            check_place(self._journal, folder.output)
            check_space(folder.output, min(size_bytes, _MOST_TRIED_BYTES), self._token)
        except OSError as root_error:
            if blocks_output(root_error):
                return OutputUnavailable(folder.output, size_bytes, root_error)
        return OutputUnavailable(directory, size_bytes, error)

    def probe(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Raise the ``OSError`` that publishing into a folder that made trouble would still meet."""
        check_place(self._journal, folder.output)
        make_directory(folder.output, reason.directory)
        check_floor(reason.directory, self._floor_gib, reason.size_bytes)
        tried = min(reason.size_bytes, _MOST_TRIED_BYTES) + 65_536
        check_space(reason.directory, tried, self._token, root=folder.output)

    def _full_place(self, folder: FolderSettings, directory: Path, size_bytes: int) -> Path:
        try:
            check_floor(folder.output, self._floor_gib, size_bytes)
        except OSError:
            return folder.output
        return directory

"""Removing just the file that was looked at, and never another that has taken its name meanwhile.

No call of the system unlinks a name only if it still is a certain file. So the file is renamed into a hidden folder
beside it first, which nobody else uses, looked at there, and then removed; or put back, if it is another one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.disposal.looking import Replaced, identity, status
from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.linking import link_between
from deepdream_daemon.publishing.names import numbered
from deepdream_daemon.publishing.publish import TEMP_PREFIX

PREFIX = f"{TEMP_PREFIX}away-"


class Aside:
    """The hidden folder for what a job removes from ``directory``, which is ``root`` or below it. Scans look into none
    of that name.
    """

    def __init__(self, root: Path, directory: Path, instance: str, job: int) -> None:
        self._root = root
        self._directory = directory
        self.place = directory / f"{PREFIX}{instance}-{job}"

    def held(self, name: str) -> Path | None:
        """Return where a file of this name was put before the program ended in the middle of it, if it was.

        One that has its own name, too, counts as never put aside: it was on its way back, or the power failed and the
        file system kept both names of a rename.
        """
        path = self.place / name
        try:
            held = status(path, self._root)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(held, status(self._directory / name, self._root)):
                return None
        return path

    def take(self, name: str, expected: str) -> None:
        """Put a file aside; :class:`Replaced` if that is not the one with the identity ``expected``."""
        with beneath.opened(self._root, self._directory) as here:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.place.name, 0o700, dir_fd=here)
            hit("dispose.aside_made")
            with beneath.opened(self._directory, self.place) as there:
                with contextlib.suppress(FileNotFoundError):
                    if _is_same(name, there, name, here):  # see `held`; renaming one to the other would do nothing
                        os.unlink(name, dir_fd=there)
                os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)
                hit("dispose.aside_taken")
                taken = os.stat(name, dir_fd=there, follow_symlinks=False)
        if not stat.S_ISREG(taken.st_mode) or identity(taken) != expected:
            self.put_back(name)
            raise Replaced(f"{os.fspath(self._directory / name)!r} was replaced meanwhile")

    def remove(self, name: str) -> None:
        """Remove what was put aside for good, durably; if that fails it goes back."""
        try:
            with beneath.opened(self._root, self.place) as there:
                os.unlink(name, dir_fd=there)
        except OSError:
            self.put_back(name)
            raise
        for place in (self.place, self._directory):
            with beneath.opened(self._root, place) as at:
                os.fsync(at)

    def put_back(self, name: str) -> Path:
        """Give a file its name again, or one like it if another has that by now; return which."""
        with beneath.opened(self._root, self._directory) as here, beneath.opened(self._root, self.place) as there:
            for number in itertools.count(1):
                try:
                    link_between(there, name, here, numbered(name, number))
                except FileExistsError:
                    # Unless it is the same file: an earlier daemon has ended between the link and the removal.
                    if not _is_same(name, there, numbered(name, number), here):
                        continue
                os.fsync(here)
                with contextlib.suppress(FileNotFoundError):  # it was renamed where there are no links
                    os.unlink(name, dir_fd=there)
                break
        self.close()
        return self._directory / numbered(name, number)

    def put_all_back(self) -> list[Path]:
        """Give everything that was put aside its name again; return which."""
        try:
            with beneath.opened(self._root, self.place) as there:
                names = os.listdir(there)  # noqa: PTH208  (of a descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self.put_back(name) for name in names]

    def close(self) -> None:
        """Remove the hidden folder, unless something is in it."""
        with contextlib.suppress(OSError), beneath.opened(self._root, self._directory) as here:
            os.rmdir(self.place.name, dir_fd=here)


def _is_same(name: str, at: int, other: str, other_at: int) -> bool:
    one = os.stat(name, dir_fd=at, follow_symlinks=False)
    try:
        return os.path.samestat(one, os.stat(other, dir_fd=other_at, follow_symlinks=False))
    except FileNotFoundError:
        return False


def put_all_back(root: Path, instance: str, is_begun: Callable[[int], bool]) -> Iterator[Path]:
    """Give back what was put aside below ``root`` for jobs of which nobody knows any more; yield where it is.

    ``is_begun`` tells whether the disposal of a job's source goes on from where it was.
    """
    ours = f"{PREFIX}{instance}-"
    for directory, folders, _ in os.walk(root):
        for name in folders:
            job = name.removeprefix(ours)
            if name.startswith(ours) and job.isdecimal() and not is_begun(int(job)):
                aside = Aside(root, Path(directory), instance, int(job))
                yield from aside.put_all_back()
                aside.close()
        folders[:] = [name for name in folders if not name.startswith(TEMP_PREFIX)]

"""Bringing a file to another folder: there it appears whole and durable, under a name that nothing had, before anybody
thinks of removing it here.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.disposal.looking import Replaced, Seen, identity, look, opened, read_through
from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.linking import link_new
from deepdream_daemon.publishing.names import numbered
from deepdream_daemon.publishing.publish import temp_name

_COPIED_INSTEAD = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Another file system, none with links, or one that gives no links to the files of others."""


@dataclass(frozen=True)
class Trip:
    """From below the folder ``here`` to below the folder ``there``; ``token`` is in the names of temp files."""

    here: Path
    there: Path
    token: str

    def place(self, source: Path, target: Path, expected: Seen) -> None:
        """Make the file at ``source`` appear at ``target`` as well; ``FileExistsError`` when something is there.

        :class:`Replaced` if it is not the ``expected`` one.
        """
        with beneath.opened(self.here, source.parent) as here, beneath.opened(self.there, target.parent) as there:
            try:
                os.link(source.name, target.name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _COPIED_INSTEAD:
                    raise
                self._copy(source, target, there, expected)
            else:
                hit("dispose.linked")
                if identity(os.stat(target.name, dir_fd=there, follow_symlinks=False)) != expected.identity:
                    os.unlink(target.name, dir_fd=there)
                    raise Replaced(f"{os.fspath(source)!r} was replaced meanwhile")
            os.fsync(there)
        hit("dispose.placed")
        if look(target, self.there).sha256 != expected.sha256:
            raise OSError(errno.EIO, "it does not read as it was written", os.fspath(target))

    def _copy(self, source: Path, target: Path, there: int, expected: Seen) -> None:
        temp = temp_name(target.parent, self.token)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        number = os.open(temp.name, flags, 0o600, dir_fd=there)
        try:
            with os.fdopen(number, "wb") as copy, opened(source, self.here) as file:
                hit("dispose.copy_begun")
                if read_through(file, source, copy.write) != expected:
                    raise Replaced(f"{os.fspath(source)!r} was replaced meanwhile")
                copy.flush()
                status = os.fstat(file.fileno())
                with contextlib.suppress(PermissionError):  # a disk that knows no permissions, such as FAT
                    os.fchmod(copy.fileno(), status.st_mode & 0o777)
                os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(copy.fileno())
            hit("dispose.copied")
            link_new(temp, target, there)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temp.name, dir_fd=there)


def free_places(directory: Path, name: str, beside: Callable[[str], list[str]]) -> Iterator[Path]:
    """Yield places for a file in ``directory`` that nothing has, and no name of what is to lie ``beside`` it."""
    for number in itertools.count(1):
        candidate = numbered(name, number)
        if not any(os.path.lexists(directory / each) for each in (candidate, *beside(candidate))):
            yield directory / candidate

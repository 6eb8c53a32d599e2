"""Directories below a root, entered step by step without following a link, and the regular files in them.

Whoever may write below a watched folder or an output may put a link in a folder's place at any moment, also between a
look at it and its use. So nothing there is named by its whole path when it is opened, made or linked, but relative to a
descriptor of its directory that was reached in this way. The root itself is what the configuration names, and trusted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
HAS_PATHS = hasattr(os, "O_PATH")  # Linux


class LinkInTheWay(NotADirectoryError):
    """A directory has become a symbolic link, or was one from the beginning."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ENOTDIR, "it is a symbolic link, and none is followed here", os.fspath(path))
        self.path = path


@contextmanager
def opened(root: Path, directory: Path, *, make: bool = False) -> Iterator[int]:
    """Yield a descriptor of ``directory``, which is ``root`` or below it; ``make`` those below that are not there,
    durably.

    Raises :class:`LinkInTheWay` for a link below the root, and other ``OSError``.
    """
    steps = directory.relative_to(root).parts
    if ".." in steps:
        raise ValueError(f"{os.fspath(directory)!r} is not written as a place below {os.fspath(root)!r}")
    at = os.open(root, _FLAGS)
    try:
        here = root
        for step in steps:
            here /= step
            if make:
                _make(step, at)
            below = _entered(step, at, here)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def open_regular(name: str, at: int) -> int:
    """Open the regular file ``name`` in the directory ``at`` for reading, and nothing else.

    A FIFO, device or socket that lies there, or is put there meanwhile, is not opened, since already that may have
    consequences: on Linux the file is first only pointed at, and opened when it is seen to be regular. Elsewhere it is
    looked at before, and again when it is open. Raises :class:`NotRegular`, and other ``OSError``.
    """
    if HAS_PATHS:
        pointer = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            _check_regular(os.fstat(pointer), name)
            with contextlib.suppress(FileNotFoundError):  # no /proc is mounted
                return os.open(f"/proc/self/fd/{pointer}", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, name) from error
        finally:
            os.close(pointer)
    _check_regular(os.stat(name, dir_fd=at, follow_symlinks=False), name)
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise NotRegular(name) from error
        raise
    try:
        _check_regular(os.fstat(number), name)
    except BaseException:
        os.close(number)
        raise
    return number


class NotRegular(OSError):
    """There is something, but no regular file."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EINVAL, "it is no regular file", name)


def _check_regular(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(name)


def _make(name: str, at: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=at)
        os.fsync(at)


def _entered(name: str, at: int, path: Path) -> int:
    try:
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=at)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    raise LinkInTheWay(path) from error
        error.filename = os.fspath(path)
        raise

"""Looking at a file before and after something is done to it: what it holds, and whether it is still the same one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.intake import sources

_CHUNK_BYTES = 1 << 20


class Replaced(Exception):
    """What is there is not what was meant, so it is left alone."""


@dataclass(frozen=True)
class Seen:
    """A regular file as it was read from its first byte to its last."""

    sha256: str
    identity: str


def identity(status: os.stat_result) -> str:
    """Return what of a file stays as it is when it is linked and renamed, and not when it is written to."""
    return identity_in(sources.stamp(status))


def identity_in(stamp: str) -> str:
    """Return the same from what :func:`~deepdream_daemon.intake.sources.stamp` has made of a file."""
    return stamp.rpartition(".")[0]  # all but the time of the last change, which a link changes as well


def status(path: Path, root: Path) -> os.stat_result:
    """Look at what is at ``path``, following no link, neither there nor below ``root`` on the way."""
    with beneath.opened(root, path.parent) as at:
        try:
            return os.stat(path.name, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            error.filename = os.fspath(path)
            raise


@contextmanager
def opened(path: Path, root: Path) -> Iterator[FileIO]:
    """Open the regular file at ``path``, following no link below ``root``; :class:`Replaced` if it is none."""
    with beneath.opened(root, path.parent) as at:
        try:
            number = beneath.open_regular(path.name, at)
        except beneath.NotRegular as error:
            raise Replaced(f"{os.fspath(path)!r} is no regular file") from error
        except OSError as error:
            error.filename = os.fspath(path)
            raise
    with FileIO(number, "rb") as file:
        yield file


def look(path: Path, root: Path) -> Seen:
    """Read the file at ``path``; :class:`Replaced` when it is no regular file, or is written to meanwhile."""
    with opened(path, root) as file:
        return read_through(file, path)


def read_through(file: FileIO, path: Path, each: Callable[[bytes], object] = len) -> Seen:
    """Read an open file to the end that it had when this began, giving ``each`` its parts; :class:`Replaced` when it is
    written to meanwhile, however fast.
    """
    found = os.fstat(file.fileno())
    before, left = identity(found), found.st_size
    digest = hashlib.sha256()
    while chunk := _read(file, path):
        left -= len(chunk)
        if left < 0:
            break
        digest.update(chunk)
        each(chunk)
    if left or identity(os.fstat(file.fileno())) != before:
        raise Replaced(f"{os.fspath(path)!r} is being written to")
    return Seen(digest.hexdigest(), before)


def _read(file: FileIO, path: Path) -> bytes:
    try:
        return file.read(_CHUNK_BYTES)
    except OSError as error:
        error.filename = os.fspath(path)  # or it could be whatever the parts are written to
        raise


def holds(path: Path, root: Path, sha256: str) -> bool:
    """Tell whether there is a file with this content at ``path``."""
    try:
        return look(path, root).sha256 == sha256
    except (FileNotFoundError, NotADirectoryError, Replaced):
        return False

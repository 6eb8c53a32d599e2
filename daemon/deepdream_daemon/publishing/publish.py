"""Publishing: a file becomes visible whole, under a name that nothing had, and is durable before anyone is
told.

The order is: temp file beside the target → fsync → (announce) → link without replacing → fsync of the
folder → (commit) → remove the temp file. The two steps in brackets are the journal's, for the daemon.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.names import first_free, numbered
from deepdream_engine.errors import BadOption

TEMP_PREFIX = ".deepdream-"
TEMP_SUFFIX = ".part"

_counter = itertools.count(1)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A whole, durable temp file, ready to be given its name; ``sha256`` and ``inode`` recognise it
    afterwards.
    """

    temp: Path
    sha256: str
    inode: int


def publish_unique(directory: Path, name: str, data: bytes) -> Path:
    """Publish ``data`` in ``directory`` as ``name``, or as ``name-2``, ``-3`` … when that is taken; return
    where.
    """
    staged = stage(directory, data, token=f"once{os.getpid()}")
    try:
        return reveal(staged, name, lambda _: True)
    finally:
        staged.temp.unlink(missing_ok=True)


def stage(directory: Path, data: bytes, token: str) -> Staged:
    """Write ``data`` to a temp file in ``directory`` and make it durable; its mode follows the umask."""
    temp = directory / f"{TEMP_PREFIX}{token}-{threading.get_native_id()}-{next(_counter)}{TEMP_SUFFIX}"
    number = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(number, "wb") as file:
            hit("publish.temp_created")
            file.write(data)
            file.flush()
            hit("publish.temp_written")
            os.fsync(file.fileno())
            hit("publish.temp_synced")
            inode = os.fstat(file.fileno()).st_ino
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    return Staged(temp=temp, sha256=hashlib.sha256(data).hexdigest(), inode=inode)


def reveal(staged: Staged, name: str, announce: Callable[[Path], bool]) -> Path:
    """Give a staged file its first free name; ``announce`` hears each candidate before and may call it
    off.
    """
    directory = staged.temp.parent
    for target in _candidates(directory, name):
        if not announce(target):
            raise CalledOff
        hit("publish.announced")
        try:
            link_new(staged.temp, target)
        except FileExistsError:
            continue
        hit("publish.linked")
        sync_directory(directory)
        hit("publish.directory_synced")
        return target
    raise AssertionError("the candidates never end")


class CalledOff(Exception):
    """The job is no longer ours: the staged file must not become visible."""


def _candidates(directory: Path, name: str) -> Iterator[Path]:
    start = first_free(lambda number: os.path.lexists(directory / numbered(name, number)))
    for number in itertools.count(start):
        target = directory / numbered(name, number)
        if number == start or not os.path.lexists(target):
            yield target


def link_new(temp: Path, target: Path) -> None:
    """Make ``temp`` visible as ``target`` in one step, never replacing: ``FileExistsError`` when the name
    is taken.
    """
    try:
        os.link(temp, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_new(temp, target)


def _rename_new(temp: Path, target: Path) -> None:
    """The way of file systems without hard links (FAT, some FUSE)."""
    if sys.platform != "linux":
        raise OSError(
            errno.EOPNOTSUPP, "this file system has no hard links, so nothing can be published safely", target
        )
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(temp), os.fsencode(target)
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))  # EEXIST becomes FileExistsError


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_directory(root: Path, directory: Path) -> None:
    """Create ``directory`` below ``root``, durably; ``root`` itself must be there (an unmounted disk is
    not remade).
    """
    root.stat()
    for step in reversed([directory, *directory.parents]):
        if step != root and step.is_relative_to(root):
            with contextlib.suppress(FileExistsError):
                step.mkdir()
                sync_directory(step.parent)
    if not directory.resolve().is_relative_to(root.resolve()):
        raise BadOption(f"{os.fspath(directory)!r} leads out of the output folder by a symbolic link. Remove the link.")


def check_space(directory: Path, size_bytes: int, token: str) -> None:
    """Raise the ``OSError`` that publishing ``size_bytes`` in ``directory`` would meet now, if any.

    It does all that publishing does, with names that are nobody's: a disk may fail only at the ``fsync``.
    """
    staged = stage(directory, os.urandom(max(1, size_bytes)), token)  # zeros would compress to nothing
    linked = staged.temp.with_name(f"{staged.temp.name.removesuffix(TEMP_SUFFIX)}-linked{TEMP_SUFFIX}")
    try:
        link_new(staged.temp, linked)
        sync_directory(directory)
    finally:
        try:
            linked.unlink(missing_ok=True)
        finally:
            staged.temp.unlink(missing_ok=True)


def is_whole(path: Path, sha256: str) -> bool:
    """Tell whether the file at ``path`` is there with just this content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False

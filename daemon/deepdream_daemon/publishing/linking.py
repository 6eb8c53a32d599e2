"""A name for a file in one step, never another file's."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100


def link_new(temp: Path, target: Path, at: int | None = None) -> None:
    """Make ``temp`` visible as ``target`` in one step, never replacing: ``FileExistsError`` when the name is taken.

    With ``at``, a descriptor of the directory that both are in, only their last names count: whatever their path leads
    to by now, they are in that directory.
    """
    names = (temp, target) if at is None else (temp.name, target.name)
    try:
        os.link(*names, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_new(os.fsencode(names[0]), os.fsencode(names[1]), _AT_FDCWD if at is None else at)


def _rename_new(temp: bytes, target: bytes, at: int, source_at: int | None = None) -> None:
    """The way of file systems without hard links (FAT, some FUSE)."""
    if sys.platform != "linux":
        reason = "this file system has no hard links, so nothing can be published safely"
        raise OSError(errno.EOPNOTSUPP, reason, os.fsdecode(target))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(at if source_at is None else source_at, temp, at, target, _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(target))  # EEXIST becomes FileExistsError


def link_between(source_at: int, source: str, target_at: int, target: str) -> None:
    """Make the file ``source`` in one directory visible as ``target`` in another one of the same disk, never replacing.

    Where there are no links, or none for what it is, it is not in the first one any more.
    """
    try:
        os.link(source, target, src_dir_fd=source_at, dst_dir_fd=target_at, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_new(os.fsencode(source), os.fsencode(target), target_at, source_at)

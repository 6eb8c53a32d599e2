"""Staging a file that is too large to be in memory: as ``publish.stage`` does it, but part by part."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.publish import Staged, temp_name


def stage_stream(
    root: Path,
    directory: Path,
    write_parts: Callable[[Callable[[bytes], object]], None],
    token: str,
    *,
    mode: int | None = None,
    mtime_ns: int | None = None,
) -> Staged:
    """Write a temp file in ``directory`` and make it durable: ``write_parts`` is given what writes a part of it.

    ``root`` and ``mode`` are as there; the file was changed at ``mtime_ns``, or now.
    """
    temp = temp_name(directory, token)
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with beneath.opened(root, directory) as at:
        number = os.open(temp.name, flags, 0o666, dir_fd=at)
        try:
            with os.fdopen(number, "wb") as file:
                hit("copy.temp_created")
                if mode is not None:
                    with contextlib.suppress(PermissionError):  # a disk that knows no permissions, such as FAT
                        os.fchmod(file.fileno(), mode)

                def write(part: bytes) -> None:
                    file.write(part)
                    digest.update(part)

                write_parts(write)
                file.flush()
                if mtime_ns is not None:
                    os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))
                os.fsync(file.fileno())
                hit("copy.temp_synced")
                inode = os.fstat(file.fileno()).st_ino
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temp.name, dir_fd=at)
            raise
    return Staged(temp=temp, sha256=digest.hexdigest(), inode=inode, root=root)

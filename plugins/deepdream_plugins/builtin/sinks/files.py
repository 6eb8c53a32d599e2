"""Files that sinks write: visible whole or not at all, durable, and never in the place of somebody else's."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deepdream_engine.errors import BadOption

Write = Callable[[BinaryIO], None]
_LONGEST_BYTES = 255
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def fitted(stem: str, ending: str) -> str:
    """Return ``stem + ending``, the stem cut so that both fit into the 255 bytes of a file name."""
    room = _LONGEST_BYTES - len(os.fsencode(ending))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + ending
    least = max(0, room - 3)
    while room > least and raw[room] & 0xC0 == 0x80:  # in the middle of a character
        room -= 1
    return os.fsdecode(raw[:room]) + ending


def numbered(name: str, number: int) -> str:
    """Return the ``number``-th name to try: ``a.jpg``, then ``a-2.jpg``, ``a-3.jpg`` …"""
    if number == 1:
        return name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (it is a name, no path)
    return fitted(stem, f"-{number}{suffix}")


def folder_below(root: Path, relative: str) -> Path:
    """Make and return the folder ``relative`` below ``root``, unless a link leads out of it."""
    folder = root / relative
    root.stat()  # a disk that is away is not made anew
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(root.resolve()):
        raise BadOption(f"folder: {relative!r} leads out of the output folder by a symbolic link. Remove the link.")
    return folder


def publish_new(folder: Path, name: str, write: Write, token: str) -> Path:
    """Publish what ``write`` writes as ``name``, or as ``name-2``, ``-3`` … beside files that have other content.

    A file that has this very content already is what an earlier delivery published, and is returned. ``token`` names
    the writer, of whom there may be one at a time.
    """
    with _temporary(folder / name, write, token) as temp:
        digest = sha256(temp)
        for number in itertools.count(1):
            target = folder / numbered(name, number)
            try:
                _link_new(temp, target)
            except FileExistsError:
                if sha256(target) == digest:
                    return target
                continue
            _sync(folder)
            return target
    raise AssertionError("the numbers never end")


def replace(target: Path, write: Write, token: str) -> None:
    """Put what ``write`` writes in the place of ``target``, in one step; ``token`` as in :func:`publish_new`."""
    with _temporary(target, write, token) as temp:
        temp.replace(target)
        _sync(target.parent)


def sha256(path: Path) -> str:
    """Return the digest of a file's content, or an empty string if there is no such file that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def bytes_writer(data: bytes) -> Write:
    """Return what writes ``data``."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    return write


def file_writer(source: Path) -> Write:
    """Return what writes the content of ``source``."""

    def write(file: BinaryIO) -> None:
        with source.open("rb") as opened:
            shutil.copyfileobj(opened, file, 1 << 20)

    return write


@contextmanager
def _temporary(target: Path, write: Write, token: str) -> Iterator[Path]:
    """Yield a whole, durable temp file beside ``target``. A writer's has the same name each time, so that the next try
    sweeps what a crash left behind."""
    digest = hashlib.sha256(os.fsencode(token) + b"\0" + os.fsencode(target)).hexdigest()[:16]
    temp = target.with_name(f".deepdream-sink-{digest}.part")
    temp.unlink(missing_ok=True)  # it may be a link to what is published by now
    number = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(number, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        yield temp
    finally:
        temp.unlink(missing_ok=True)


def _link_new(temp: Path, target: Path) -> None:
    try:
        os.link(temp, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # FAT and the like have no hard links: the name is taken first, which nobody else can do then.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
        temp.replace(target)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)

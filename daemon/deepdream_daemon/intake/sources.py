"""Looking at files that strangers drop: no link is followed, no FIFO, device or socket is opened, no change goes
unseen.

A *fingerprint* is a string that changes when the file does: inode, size and both times, of the picture, of its side
file when it has one, and of its companions. The device's number is left out, since it changes when a disk is mounted
again. A picture with all of them has ``picture+side;.guide.jpg=guide;.mask.png=mask``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.intake import companions
from deepdream_daemon.intake.moving import moving
from deepdream_engine.errors import BadPicture

SIDE_SUFFIX = ".toml"
_CHUNK_BYTES = 1 << 20


class Changed(Exception):
    """The file is no longer the one that was meant; it has to settle again."""


@dataclass(frozen=True)
class Source:
    """A picture file as it was read: its bytes' hash, and what it looked like before and after."""

    sha256: str
    fingerprint: str
    data: bytes | None = None


def side_file(path: Path) -> Path:
    """Return where the side file of the picture at ``path`` would be."""
    return path.with_name(path.name + SIDE_SUFFIX)


def stamp(status: os.stat_result) -> str:
    """Return the fingerprint of one file."""
    return f"{status.st_ino:x}.{status.st_size:x}.{status.st_mtime_ns:x}.{status.st_ctime_ns:x}"


def fingerprint(path: Path, among: Collection[str] | None = None) -> str:
    """Return the fingerprint of a picture with its side file and companions; an ``OSError`` when the picture is gone.

    ``among`` are the names in its directory, if they are known, or at least those of all side files and companions.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise Changed(f"{path} is not a regular file any more")
    if among is not None and not among:
        return stamp(status)
    beside = "".join(f";{ending}={stamp(found)}" for ending, found in companions.stamped(path, among))
    try:
        return f"{stamp(status)}+{stamp(os.lstat(side_file(path)))}{beside}"
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENAMETOOLONG}:
            return stamp(status) + beside
        raise


def has_side_file(known: str) -> bool:
    """Tell whether the fingerprint ``known`` was of a picture with a side file."""
    return "+" in known


def endings_of(known: str) -> list[str]:
    """Return the endings of the companions that a picture with the fingerprint ``known`` had."""
    return [part.partition("=")[0] for part in known.split(";")[1:]]


def read(path: Path, limit_bytes: int, *, keep: bool, root: Path | None = None) -> Source:
    """Read and hash the picture at ``path``, keeping its bytes when ``keep``; :class:`Changed` when it, its side
    file or a companion changes meanwhile. Below ``root`` no link is followed.
    """
    before = fingerprint(path)
    sha256, data = read_file(path, limit_bytes, keep=keep, root=root)
    if fingerprint(path) != before:
        raise Changed(f"{path} changed while it was read")
    return Source(sha256, before, data if keep else None)


def read_file(
    path: Path, limit_bytes: int, *, keep: bool, root: Path | None = None, beat: Callable[[], None] = lambda: None
) -> tuple[str, bytes]:
    """Return the SHA-256 of the regular file at ``path`` and, when ``keep``, its bytes, which are in memory once;
    :class:`Changed` when it is none or changes meanwhile, ``BadPicture`` when it is larger than ``limit_bytes``. Clips
    may be, if they are not kept.

    ``root`` is the watched folder, below which no link is followed; without one, the file's own directory is trusted.
    ``beat`` is called while it is read: a clip may take minutes.
    """
    with beneath.opened(root or path.parent, path.parent) as at:
        before = stamp(_look(path, at))
        with os.fdopen(open_picture(path, at), "rb") as file:
            status = os.fstat(file.fileno())
            if stamp(status) != before:
                raise Changed(f"{path} was replaced while it was opened")
            if status.st_size > limit_bytes and (keep or moving(file) is None):
                raise BadPicture(
                    f"{path.name!r} has {status.st_size} bytes; no picture within the pixel limit has more than "
                    f"{limit_bytes}. Make it smaller, or raise max_megapixels."
                )
            file.seek(0)
            digest = hashlib.sha256()
            count, kept = 0, b""
            # One byte more than there is shows whether it grows while it is read.
            while chunk := file.read(status.st_size + 1 if keep else _CHUNK_BYTES):
                beat()
                digest.update(chunk)
                count += len(chunk)
                kept = (kept + chunk if kept else chunk) if keep else kept
                if count > status.st_size:
                    break
        if count != status.st_size or stamp(_look(path, at)) != before:
            raise Changed(f"{path} changed while it was read")
    return digest.hexdigest(), kept


def open_picture(path: Path, at: int) -> int:
    """Open the regular file at ``path`` in its directory ``at``; :class:`Changed` when it is something else."""
    try:
        return beneath.open_regular(path.name, at)
    except beneath.NotRegular as error:
        raise Changed(f"{path} is not a regular file any more") from error
    except OSError as error:
        error.filename = os.fspath(path)
        raise


def _look(path: Path, at: int) -> os.stat_result:
    try:
        return os.stat(path.name, dir_fd=at, follow_symlinks=False)
    except OSError as error:
        error.filename = os.fspath(path)
        raise


def limit_bytes(max_megapixels: float) -> int:
    """Return more bytes than any picture of ``max_megapixels`` needs: 16-bit RGBA, uncompressed, and room
    for metadata.
    """
    return int(max_megapixels * 8_000_000) + (64 << 20)

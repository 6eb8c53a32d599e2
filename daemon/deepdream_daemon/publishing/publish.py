"""Publishing: a file becomes visible whole, under a name that nothing had, and is durable before anyone is
told.

The order is: temp file beside the target → fsync → (announce) → link without replacing → fsync of the
folder → (commit) → remove the temp file. The two steps in brackets are the journal's, for the daemon.

All of it happens relative to a descriptor of the directory, reached from the output folder without following a link
(``beneath``): whoever swaps a folder for a link meanwhile leads no output out of the output folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepdream_daemon import beneath
from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.linking import link_new as link_new  # noqa: PLC0414  (for others, too)
from deepdream_daemon.publishing.names import first_free, numbered
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")

TEMP_PREFIX = ".deepdream-"
TEMP_SUFFIX = ".part"
UMASK = "umask"
"""What a folder's ``mode`` says if the daemon's umask is to decide."""

_counter = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A whole, durable temp file, ready to be given its name; ``sha256`` and ``inode`` recognise it afterwards.

    ``root`` is the output folder, below which no link is followed; without one, it is the file's own directory.
    """

    temp: Path
    sha256: str
    inode: int
    root: Path | None = None


def publish_unique(directory: Path, name: str, data: bytes) -> Path:
    """Publish ``data`` in ``directory`` as ``name``, or as ``name-2``, ``-3`` … when that is taken; return
    where.
    """
    staged = stage(directory, data, token=f"once{os.getpid()}")
    try:
        return reveal(staged, name, lambda _: True)
    finally:
        discard(staged)


def file_mode(mode: str) -> int | None:
    """Return the permissions that a folder's ``mode`` asks for; ``None`` leaves them to the umask."""
    return None if mode == UMASK else int(mode, 8)


def set_mode(number: int, mode: int | None) -> None:
    """Give an open file such permissions."""
    if mode is not None:
        with contextlib.suppress(PermissionError):  # a disk that knows no permissions, such as FAT
            os.fchmod(number, mode)


def temp_name(directory: Path, token: str) -> Path:
    """Return a name in ``directory`` that no other temp file has."""
    return directory / f"{TEMP_PREFIX}{token}-{threading.get_native_id()}-{next(_counter)}{TEMP_SUFFIX}"


def stage(directory: Path, data: bytes, token: str, *, root: Path | None = None, mode: int | None = None) -> Staged:
    """Write ``data`` to a temp file in ``directory`` and make it durable. ``root`` is as in :class:`Staged`, ``mode``
    as from :func:`file_mode`.
    """
    temp = temp_name(directory, token)
    name = temp.name
    with entered(root or directory, directory) as at:
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=at)
        try:
            with os.fdopen(number, "wb") as file:
                hit("publish.temp_created")
                set_mode(file.fileno(), mode)
                file.write(data)
                file.flush()
                hit("publish.temp_written")
                os.fsync(file.fileno())
                hit("publish.temp_synced")
                inode = os.fstat(file.fileno()).st_ino
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=at)
            raise
    return Staged(temp=temp, sha256=hashlib.sha256(data).hexdigest(), inode=inode, root=root)


def reveal(staged: Staged, name: str, announce: Callable[[Path], bool]) -> Path:
    """Give a staged file its first free name; ``announce`` hears each candidate before and may call it
    off.
    """
    directory = staged.temp.parent
    with entered(staged.root or directory, directory) as at:
        for candidate in candidates(name, at):
            target = directory / candidate
            if not announce(target):
                raise CalledOff
            hit("publish.announced")
            try:
                link_new(staged.temp, target, at)
            except FileExistsError:
                continue
            hit("publish.linked")
            os.fsync(at)
            hit("publish.directory_synced")
            return target
    raise AssertionError("the candidates never end")


def discard(staged: Staged) -> None:
    """Remove the temp file, if it is there: what has become of the file is settled, so a failure is only told of. The
    next start sweeps it up.
    """
    directory = staged.temp.parent
    try:
        with entered(staged.root or directory, directory) as at:
            _remove(staged.temp.name, at)
    except (OSError, BadOption) as error:
        log.warning("a temp file could not be removed", path=os.fspath(staged.temp), error=str(error))


class CalledOff(Exception):
    """The job is no longer ours: the staged file must not become visible."""


def candidates(name: str, at: int) -> Iterator[str]:
    """Yield ``name`` and its numbered variants, from the first that is free in the directory ``at`` on."""
    start = first_free(lambda number: _is_taken(numbered(name, number), at))
    for number in itertools.count(start):
        candidate = numbered(name, number)
        if number == start or not _is_taken(candidate, at):
            yield candidate


def _is_taken(name: str, at: int) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError:
        return False  # what is wrong shows when it is linked
    return True


@contextmanager
def entered(root: Path, directory: Path, *, make: bool = False) -> Iterator[int]:
    """Yield a descriptor of ``directory`` below the output folder ``root``; ``BadOption`` for a link on the way."""
    try:
        with beneath.opened(root, directory, make=make) as at:
            yield at
    except beneath.LinkInTheWay as error:
        raise BadOption(
            f"{os.fspath(error.path)!r} is a symbolic link, which may lead out of the output folder. Put a folder in "
            "its place, or remove it."
        ) from error


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
    with entered(root, directory, make=True):
        pass


def check_space(directory: Path, size_bytes: int, token: str, *, root: Path | None = None) -> None:
    """Raise the ``OSError`` that publishing ``size_bytes`` in ``directory`` would meet now, if any.

    It does all that publishing does, with names that are nobody's: a disk may fail only at the ``fsync``.
    """
    data = os.urandom(max(1, size_bytes))  # zeros would compress to nothing
    staged = stage(directory, data, token, root=root)
    temp = staged.temp.name
    linked = f"{temp.removesuffix(TEMP_SUFFIX)}-linked{TEMP_SUFFIX}"
    with entered(root or directory, directory) as at:
        try:
            link_new(staged.temp, directory / linked, at)
            os.fsync(at)
        finally:
            try:
                _remove(linked, at)
            finally:
                _remove(temp, at)


def _remove(name: str, at: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=at)

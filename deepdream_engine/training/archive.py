"""The files of a folder, or of a ZIP file: an :class:`Archive`, which names them all and reads one."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Entry:
    """A file by its name below the root, with its size in bytes; or what cannot be used, and ``why``."""

    name: str
    size: int
    why: str = ""


@dataclass(frozen=True)
class Archive:
    """The files of a ZIP file, or of a folder; safe to share between threads and to send to other processes."""

    root: Path
    _open: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        return Archive, (self.root,)

    @property
    def is_zip(self) -> bool:
        """Whether the root is a file."""
        return self.root.is_file()

    def entries(self) -> Iterator[Entry]:
        """Yield every file, hidden ones left out. Links are followed, but into no folder that was come from."""
        if self.is_zip:
            for info in self._zip().infolist():
                if not info.is_dir() and not _is_hidden(info.filename):
                    yield Entry(info.filename, info.file_size, "it is encrypted" if info.flag_bits & 1 else "")
            return
        yield from _below(self.root, "", frozenset())

    def read(self, name: str, size: int = -1) -> bytes:
        """Return the first ``size`` bytes of a file, or all. Raises ``OSError``."""
        if not self.is_zip:
            with (self.root / name).open("rb") as opened:
                return opened.read(size)
        try:
            with self._zip().open(name) as file:
                return file.read(size)
        # A damaged ZIP file: its own error, zlib's, that of a password or of a kind that is not known.
        except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError) as error:
            raise OSError(f"the ZIP file is damaged there: {error}") from error

    def _zip(self) -> zipfile.ZipFile:
        # Of each thread and each process its own: they would move each other's place in the file.
        if getattr(self._open, "owner", None) != os.getpid():
            self._open.zip, self._open.owner = zipfile.ZipFile(self.root), os.getpid()
        opened: zipfile.ZipFile = self._open.zip
        return opened


def _below(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    """Yield what lies in a folder whose name is ``prefix``, in order of name; ``above`` are the folders around it."""
    try:
        found = os.stat(folder)  # noqa: PTH116  (of the folder that a link leads to)
        here = (found.st_dev, found.st_ino)
        if here in above:
            yield Entry(prefix.rstrip("/"), 0, "it leads back to a folder that it lies in")
            return
        with os.scandir(folder) as opened:
            children = sorted((each for each in opened if not _is_hidden(each.name)), key=lambda each: each.name)
    except OSError as error:
        if not prefix:
            raise
        yield Entry(prefix.rstrip("/"), 0, f"the folder cannot be read ({error.strerror})")
        return
    folders = []
    for child in children:
        name = f"{prefix}{child.name}"
        try:
            if child.is_dir():
                folders.append(child.name)
            elif child.is_file():
                yield Entry(name, child.stat().st_size)
            else:
                yield Entry(name, 0, "a link that leads nowhere" if child.is_symlink() else "not an ordinary file")
        except OSError as error:
            yield Entry(name, 0, f"it cannot be read ({error.strerror})")
    for name in folders:
        yield from _below(folder / name, f"{prefix}{name}/", above | {here})


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)

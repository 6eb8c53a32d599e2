"""What is finished of a film that is under way: whole chunks on disk, and the state of what makes it at their end.

A chunk counts once ``film.json`` says so, which is replaced in one step after the chunk and the state are on the disk.
Whatever else a kill leaves in the folder is removed when it is next opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from deepdream_daemon.failpoints import hit
from deepdream_daemon.films.states import State, read_state, state_bytes
from deepdream_daemon.pipeline.film_shares import INDEX, no_room, older_bytes
from deepdream_daemon.publishing.publish import sync_directory
from deepdream_engine.errors import BadOption

CHUNK_FRAMES = 48
"""Two seconds: what a kill costs at most, and a key frame as often as players like to have one."""
_LOCK, _VERSION = "lock", 1


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A finished chunk: its encoded frames in ``path``, and when each is shown and for how long, in ticks; ``lost`` of
    them are others in the place of what could not be decoded."""

    path: Path
    ticks: tuple[int, ...]
    durations: tuple[int, ...]
    lost: int = 0


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a film goes on: ``frames`` are kept already, and ``state`` is that of its production just after them.

    ``is_whole``: nothing is left to be made, the film only has to be finished.
    """

    frames: int
    state: State
    is_whole: bool = False


class SpoolBusy(BadOption):
    """Another process has the spool: it works at the film, or is just being ended."""


class Spool:
    """The folder of one film under way; a context manager, which one process at a time can enter.

    ``size_limit_bytes`` is for all that lies in the folder.
    """

    def __init__(self, folder: Path, size_limit_bytes: int) -> None:
        self.folder = folder
        self._limit_bytes = size_limit_bytes
        self._lock = FileLock(folder / _LOCK, timeout=0)
        self._index: dict[str, Any] = {}
        self._chunks: list[Chunk] = []

    def __enter__(self) -> Spool:
        """Make the folder and lock it; raises :class:`BadOption` if another process has it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise SpoolBusy(
                f"this film is being made by another process at the moment (its unfinished frames are in "
                f"{os.fspath(self.folder)!r}). Wait until it is done, or end it."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others have the folder; what is finished stays."""
        self._lock.release()

    def open(self, identity: str) -> ResumePoint | None:
        """Return where the film ``identity`` goes on. What is of another film, or cannot be read, is removed."""
        if not self._lock.is_locked:
            raise RuntimeError("a spool is entered before it is opened: with Spool(…) as spool")
        try:
            found = self._read(identity)
        except (OSError, ValueError, KeyError, TypeError):
            found = None  # nothing yet, or a damaged disk: the film begins anew
        if found is None:
            self.clear()
            self._index = {"version": _VERSION, "identity": identity, "chunks": 0, "state": None, "is_whole": False}
            return None
        self._sweep()
        return found

    def next_path(self, suffix: str) -> Path:
        """Return where the next chunk is to be written; it does not count until it is committed."""
        return self.folder / f"chunk-{len(self._chunks):06d}{suffix}"

    def commit(
        self,
        path: Path,
        ticks: Sequence[int],
        durations: Sequence[int],
        state: Mapping[str, Any],
        *,
        lost: int = 0,
        is_whole: bool = False,
    ) -> None:
        """Count the chunk at ``path``, on disk for good with the production's state after it."""
        _sync(path)
        hit("film.chunk_closed")
        number = len(self._chunks)
        record = {"file": path.name, "ticks": ticks, "durations": durations, "lost": lost}
        self._write(_record(number), json.dumps(record).encode())
        state_name = f"state-{number + 1:06d}.safetensors"
        self._write(state_name, state_bytes(state))
        frames = sum(len(chunk.ticks) for chunk in self._chunks) + len(ticks)
        last_state = self._index["state"]
        self._index |= {"chunks": number + 1, "state": state_name, "frames": frames, "is_whole": is_whole}
        sync_directory(self.folder)
        self._write(INDEX, json.dumps(self._index).encode())
        sync_directory(self.folder)
        hit("film.chunk_kept")
        self._chunks.append(Chunk(path=path, ticks=tuple(ticks), durations=tuple(durations), lost=lost))
        if last_state is not None:
            (self.folder / last_state).unlink(missing_ok=True)
        self._check_size()

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The finished chunks, in order."""
        return tuple(self._chunks)

    @property
    def size_bytes(self) -> int:
        """What lies in the folder."""
        return sum(entry.stat().st_size for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False))

    def clear(self) -> None:
        """Forget the film and remove what there is of it."""
        self._chunks = []
        self._index = {}
        (self.folder / INDEX).unlink(missing_ok=True)  # first: a chunk that is gone must not count
        for entry in list(self.folder.iterdir()):
            if entry.name != _LOCK:
                entry.unlink()

    def remove(self) -> None:
        """Remove the folder, once the film is published and the spool was left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, identity: str) -> ResumePoint | None:
        index = json.loads((self.folder / INDEX).read_bytes())
        if (index["version"], index["identity"]) != (_VERSION, identity):
            return None
        chunks = []
        for number in range(index["chunks"]):
            record = json.loads((self.folder / _record(number)).read_bytes())
            path = self.folder / record["file"]
            path.stat()
            times = {"ticks": tuple(record["ticks"]), "durations": tuple(record["durations"])}
            chunks.append(Chunk(path=path, lost=int(record.get("lost", 0)), **times))
        state = read_state((self.folder / index["state"]).read_bytes())
        self._index, self._chunks = index, chunks
        return ResumePoint(frames=index["frames"], state=state, is_whole=index["is_whole"])

    def _sweep(self) -> None:
        kept = {INDEX, _LOCK, self._index["state"], *(chunk.path.name for chunk in self._chunks)}
        kept |= {_record(number) for number in range(len(self._chunks))}
        for entry in list(self.folder.iterdir()):
            if entry.name not in kept:
                entry.unlink()

    def _write(self, name: str, data: bytes) -> None:
        """Write a file that is there whole or not at all."""
        temp = self.folder / f"{name}.part"
        with temp.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(self.folder / name)

    def _check_size(self) -> None:
        size = self.size_bytes
        if size <= self._limit_bytes < size + older_bytes(self.folder):
            raise no_room()
        if size > self._limit_bytes:
            raise BadOption(
                f"the unfinished film takes {size / 1e9:.2f} GB, and {self._limit_bytes / 1e9:.2f} GB are allowed for "
                f"it ([daemon] films_gib). Allow more, or make it shorter, smaller or of a lower quality; what there "
                f"is of it stays in {os.fspath(self.folder)!r}."
            )


def _record(number: int) -> str:
    return f"chunk-{number:06d}.json"


def _sync(path: Path) -> None:
    with path.open("rb") as file, contextlib.suppress(OSError):  # a disk that cannot sync what is only read
        os.fsync(file.fileno())

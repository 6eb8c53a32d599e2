"""The ways in which people and programs drop files: at once, each in its own way, or slowly."""

from __future__ import annotations

import heapq
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.daemon.faults.house import picture

END = " whole"


def by_writing(target: Path, elsewhere: Path, count: int) -> None:
    """Open, write, close."""
    for number in range(count):
        (target / f"{number}.jpg").write_bytes(picture(f"{number}"))


def by_copying_folders(target: Path, elsewhere: Path, count: int) -> None:
    """``cp -r`` of a folder with one sub-folder for each 20 files."""
    _fill(elsewhere / "album", count, per_folder=20)
    subprocess.run(["cp", "-r", str(elsewhere / "album"), str(target)], check=True)


def by_renaming_a_folder(target: Path, elsewhere: Path, count: int) -> None:
    """Move a folder in that was filled elsewhere, on the same disk."""
    _fill(elsewhere / "album", count, per_folder=100)
    (elsewhere / "album").rename(target / "album")


def by_linking(target: Path, elsewhere: Path, count: int) -> None:
    """Give files that lie elsewhere a second name."""
    _fill(elsewhere / "album", count, per_folder=count)
    for number in range(count):
        os.link(elsewhere / "album" / "0" / f"{number}.jpg", target / f"{number}.jpg")


def as_rsync_does(target: Path, elsewhere: Path, count: int) -> None:
    """Write under a hidden name, then rename."""
    for number in range(count):
        temp = target / f".{number}.jpg.{number:06x}"
        temp.write_bytes(picture(f"{number}"))
        os.utime(temp, (1_600_000_000, 1_600_000_000))
        temp.rename(target / f"{number}.jpg")


AT_ONCE: tuple[Callable[[Path, Path, int], None], ...] = (
    by_writing,
    by_copying_folders,
    by_renaming_a_folder,
    by_linking,
    as_rsync_does,
)


def _fill(folder: Path, count: int, per_folder: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for start in range(0, count, per_folder):
        place = folder / str(start // per_folder)
        place.mkdir(parents=True)
        for number in range(start, min(count, start + per_folder)):
            (place / f"{number}.jpg").write_bytes(picture(f"{number}"))


def write_slowly(folder: Path, count: int, *, settle_seconds: float, over_seconds: float, seed: int = 0) -> list[Path]:
    """Write ``count`` files in pieces, begun at random within ``over_seconds``, with pauses of up to 0.9 times the
    settle time, sometimes with an old mtime or into space that was allocated before.

    One thread does it, so that the pauses are kept; return the files for which this machine was too slow all the same.
    """
    rng = random.Random(seed)
    begun = time.monotonic()
    due = [(begun + rng.uniform(0, over_seconds), number) for number in range(count)]
    heapq.heapify(due)
    slow: dict[int, _Slow] = {}
    late: list[Path] = []
    while due:
        at, number = heapq.heappop(due)
        time.sleep(max(0.0, at - time.monotonic()))
        if number not in slow:
            slow[number] = _Slow(folder / f"{number}.jpg", number, rng)
        writer = slow[number]
        if writer.is_later_than(0.97 * settle_seconds):
            late.append(writer.path)
        if writer.write_piece():
            heapq.heappush(due, (writer.written_at + rng.uniform(0.0, 0.9) * settle_seconds, number))
        else:
            del slow[number]
    return late


class _Slow:
    """A file on its way."""

    def __init__(self, path: Path, number: int, rng: random.Random) -> None:
        self.path = path
        self.written_at = float("inf")
        self._rng = rng
        self._whole = picture(f"{number} " + "x" * rng.randrange(200) + END)
        self._size = -(-len(self._whole) // rng.randrange(2, 5))
        self._at = 0
        with path.open("wb") as file:
            if rng.random() < 0.3:
                os.posix_fallocate(file.fileno(), 0, len(self._whole))

    def is_later_than(self, seconds: float) -> bool:
        """Tell whether more than ``seconds`` have passed since the last piece."""
        return time.monotonic() - self.written_at > seconds

    def write_piece(self) -> bool:
        """Write the next piece, and tell whether there is one after it."""
        with self.path.open("r+b") as file:
            file.seek(self._at)
            file.write(self._whole[self._at : self._at + self._size])
        if self._rng.random() < 0.3:
            os.utime(self.path, (1_000_000_000, 1_000_000_000))
        self._at += self._size
        self.written_at = time.monotonic()
        return self._at < len(self._whole)

"""Frames of an unfinished film that are needed once more, as files: they outlive a kill, as its chunks do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdream_daemon.publishing.publish import sync_directory
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from torch import Tensor


class FrameFolder:
    """Keeps the first frames of a loop, which must be exact, and the frames that a film goes back over, in 8 bits as
    they were shown; no more than ``limit_bytes`` of them.

    A file is there whole or not at all, and on the disk before the chunk that counts on it.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def put(self, number: int, picture: Tensor) -> None:
        """Keep what frame ``number`` was, ``(3, H, W)``."""
        self._save(f"state-{number}", picture.numpy())

    def get(self, number: int) -> Tensor:
        """Return it."""
        import torch

        return torch.from_numpy(self._load(f"state-{number}"))

    def show(self, number: int, picture: Tensor) -> None:
        """Keep frame ``number`` as it is shown, ``(3, H, W)`` in [0, 1]."""
        self._save(f"shown-{number}", np.rint(picture.clamp(0, 1).numpy() * np.float32(255)).astype(np.uint8))

    def shown(self, number: int) -> Tensor:
        """Return it."""
        import torch

        return torch.from_numpy(self._load(f"shown-{number}")).float().div_(255)

    def has(self, *, shown: Iterable[int] = (), put: Iterable[int] = ()) -> bool:
        """Tell whether all of these can be returned."""
        names = (*(f"shown-{number}" for number in shown), *(f"state-{number}" for number in put))
        try:
            for name in names:
                np.load(self._path(name), mmap_mode="r")  # reads its header, and compares its length with that
        except (OSError, ValueError):
            return False
        return True

    def check(self, frames: int, bytes_each: int) -> None:
        """Raise :class:`BadOption` if so many frames are too many."""
        if frames * bytes_each > self._limit_bytes:
            raise BadOption(
                f"this film needs {frames} of its frames once more, which take {frames * bytes_each / 1e9:.1f} GB, and "
                f"{self._limit_bytes / 1e9:.1f} GB are allowed. Make it shorter or smaller, or play it forwards."
            )

    def remove(self) -> None:
        """Forget them all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _save(self, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temp = self._folder / f"{name}.part"
        with temp.open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(self._path(name))
        sync_directory(self._folder)

    def _load(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        path = self._path(name)
        try:
            found: np.ndarray[tuple[int, ...], np.dtype[np.generic]] = np.load(path)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)  # so that the next try does not count on it
            raise OSError(
                errno.EIO, f"a frame of the unfinished film is lost ({error}); the next try begins it anew", path
            ) from error
        return found

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npy"

"""A film is made again from what its file tells, and compared with it frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from deepdream_daemon.films.contact import pictures
from deepdream_daemon.films.embedding import read_from
from deepdream_daemon.oneshot.redreaming import Comparison, Original, differences, original_of


def read_original_film(path: Path) -> Original:
    """Read the film at ``path``; raises :class:`BadPicture` when it does not say how it was made."""
    return original_of(path, b"", read_from(path))


def compare_films(original: Original, film: Path) -> Comparison:
    """Compare the frames of the two films as players show them, and say what else is not the same."""
    import numpy as np

    notes = differences(original, read_from(film) or {})
    most = 0
    for before, after in zip_longest(_shown(original.path), _shown(film)):
        if before is None or after is None:
            return Comparison(levels=None, notes=("another number of frames", *notes))
        if before.shape != after.shape:
            return Comparison(levels=None, notes=notes)
        most = max(most, int(np.abs(before.astype(np.int16) - after).max(initial=0)))
    return Comparison(levels=most, notes=notes)


def _shown(film: Path) -> Iterator[Any]:
    for picture in pictures(film):
        yield picture.to_ndarray(format="rgba")

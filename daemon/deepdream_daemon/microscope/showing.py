"""A folder of photos shown to a network: what each excites, kept so that a run that was stopped goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos

if TYPE_CHECKING:
    from torch import Tensor

_TOGETHER = 32
_SAVE_SECONDS = 20.0


@dataclass
class Shown:
    """What photos excite: by name, the ``score`` of what is looked for, and the class that comes first (-1 if the
    network has none)."""

    scores: dict[str, tuple[float, int]] = field(default_factory=dict)

    def by_label(self, label_of: Callable[[str], str]) -> list[tuple[str, float, int]]:
        """Return the labels with the mean score of their photos and how many there are, the highest first."""
        found: dict[str, list[float]] = {}
        for name, (score, _) in self.scores.items():
            if label := label_of(name):
                found.setdefault(label, []).append(score)
        told = [(label, sum(scores) / len(scores), len(scores)) for label, scores in found.items()]
        return sorted(told, key=lambda each: -each[1])


def show(
    photos: Photos,
    evidence: Callable[[Tensor], Tensor],
    number: int,
    classes: Callable[[Tensor], Tensor] | None,
    *,
    side_px: int,
    folder: OwnFolder,
    on_progress: Callable[[int], None],
) -> Shown:
    """Show every photo; ``evidence`` ``(N, C)`` has the score at ``number``. What ``folder`` remembers of photos that
    have not changed is taken from there."""
    kept: dict[str, list[float]] = folder.data.setdefault("shown", {})
    shown, saved = Shown(), time.monotonic()
    done = 0

    def save() -> None:
        folder.data["shown"] = kept
        folder.save()

    try:
        for part in _parts(photos.files, _TOGETHER):
            stamps = {name: _stamp(photos, name) for name in part}
            fresh = {}
            for name in part:
                if (known := kept.get(name)) is not None and known[:2] == stamps[name]:
                    shown.scores[name] = (known[2], int(known[3]))
                elif (picture := photos.read(name, side_px)) is not None:
                    fresh[name] = picture
            for name, score, first in _scored(fresh, evidence, number, classes):
                shown.scores[name] = (score, first)
                kept[name] = [*stamps[name], score, first]
            done += len(part)
            on_progress(done)
            if time.monotonic() - saved > _SAVE_SECONDS:
                save()
                saved = time.monotonic()
    finally:
        save()
    return shown


def _scored(
    pictures: dict[str, Tensor],
    evidence: Callable[[Tensor], Tensor],
    number: int,
    classes: Callable[[Tensor], Tensor] | None,
) -> Iterator[tuple[str, float, int]]:
    if not pictures:
        return
    import torch

    stacked = torch.stack(list(pictures.values()))
    seen = evidence(stacked)
    scores = seen[:, number].tolist()
    if classes is None:
        firsts = [-1] * len(scores)
    else:  # of a class, its evidence is among that for all
        firsts = (seen if classes is evidence else classes(stacked)).argmax(dim=1).tolist()
    yield from zip(pictures, scores, firsts, strict=True)


def _stamp(photos: Photos, name: str) -> list[float]:
    try:
        status = (photos.folder / name).stat()
    except OSError:  # reading it will say so
        return [0, 0]
    return [status.st_size, status.st_mtime]


def _parts(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), most):
        yield names[start : start + most]

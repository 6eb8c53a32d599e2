"""A report on one class or channel of a network: what it looks like, what it shares with others, what is suspicious.

Everything is in one page: a report is small, and is sent to somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.on_photos import OnPhotos, Progress
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.portraits import load, portraits
from deepdream_daemon.microscope.studio import Studio, Subject
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.occlusion import Evidence
    from deepdream_engine.microscope.stickers import Suspicion

RECORD = "state.json"
RAISED, SHARED = 6, 3
_STICKERS_PX = 96
_CROP_PX = 96


class Inspection:
    """``subject`` of the studio's network, looked at from all sides; ``pictures`` of it are drawn in ``folder``."""

    def __init__(self, studio: Studio, subject: Subject, pictures: int, folder: OwnFolder, progress: Progress) -> None:
        from deepdream_engine.microscope.eyes import Classifier, Eyes

        self._studio, self._subject, self._folder = studio, subject, folder
        self._count, self._progress = pictures, progress
        self._names = studio.class_names()
        self._classes: Evidence | None = None
        if subject.is_class or self._names:
            self._classes = Classifier(studio.engine, studio.network)
        if subject.is_class and self._classes is not None:
            self._evidence: Evidence = self._classes
        else:
            eyes = Eyes(studio.engine, studio.network, (subject.layer,))
            self._evidence = lambda pictures: eyes.means(pictures)[subject.layer]
        self._check()

    def _check(self) -> None:
        """Refuse a channel that the layer has not."""
        import torch

        side = self._studio.side_px
        count = self._evidence(torch.full((1, 3, side, side), 0.5)).shape[1]
        if self._subject.number >= count:
            what = "classes" if self._subject.is_class else "channels"
            raise BadOption(
                f"{self._subject.name}: the layer {self._subject.layer!r} has {count} {what}; choose one from 0 to "
                f"{count - 1}."
            )

    def report(self, photos: Photos | None) -> dict[str, Any]:
        """Return what there is to say; pictures are ``data:`` URLs."""
        facts: dict[str, Any] = {
            "model": self._studio.spec.name,
            "subject": {"layer": self._subject.layer, "number": self._subject.number, "name": self._subject.name},
            "is_class": self._subject.is_class,
            "findings": [],
        }
        names = portraits(
            self._studio,
            self._subject,
            self._count,
            self._folder,
            score=lambda picture: float(self._evidence(picture[None])[0, self._subject.number]),
            on_progress=lambda done: self._progress("pictures", done / self._count),
        )
        drawn = [load((self._folder.path / name).read_bytes()) for name in names]
        facts["pictures"] = [
            {"file": name, "data": data_url(picture)} for name, picture in zip(names, drawn, strict=True)
        ]
        if self._classes is not None:
            facts |= self._raised(drawn, self._classes)
        if self._subject.is_class:
            facts["mark"] = self._mark(facts["findings"])
        if photos is not None:
            on_photos = OnPhotos(
                self._studio,
                self._subject,
                evidence=self._evidence,
                classes=self._classes,
                name=self.name,
                folder=self._folder,
                progress=self._progress,
            )
            facts["photos"] = on_photos.report(photos, facts["findings"])
        return facts

    def name(self, number: int) -> str:
        """Return what a class is called."""
        return self._names[number] if number < len(self._names) else f"class {number}"

    def _raised(self, drawn: Sequence[Tensor], classes: Evidence) -> dict[str, Any]:
        """Return which classes the pictures raise, and where in them the others are."""
        import torch

        from deepdream_engine.microscope.coactivation import Baseline, raised, shared

        self._progress("other classes in them", 0.0)
        stacked = torch.stack(list(drawn))
        found = raised(classes(stacked), Baseline(classes, self._studio.side_px), RAISED)
        own = self._subject.number if self._subject.is_class else None
        others = [each.number for each in found if each.number != own and each.rise > 0][:SHARED]
        patterns = []
        for each in shared(classes, stacked, own, others):
            picture = stacked[each.picture]
            patterns.append(
                {
                    "name": self.name(each.number),
                    "number": each.number,
                    "picture": each.picture + 1,
                    "place": each.place.words,
                    "share": round(each.share, 3),
                    "own_share": round(each.own_share, 3),
                    "data": data_url(enlarged(each.place.cut(picture))),
                }
            )
        told = [
            {
                "name": self.name(each.number),
                "number": each.number,
                "is_own": each.number == own,
                "probability": round(each.probability, 4),
                "rise": round(each.rise, 2),
                "first": each.first,
                "in_top5": each.in_top5,
            }
            for each in found
        ]
        return {"raised": told, "shared": patterns}

    def _mark(self, findings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the small thing that does most for the class by itself; one that is suspicious is a finding."""
        import statistics

        from deepdream_engine.microscope.stickers import suspicions

        self._progress("small things that are enough", 0.0)
        assert self._classes is not None
        side = self._studio.side_px if self._studio.side_px <= _STICKERS_PX else self._studio.side_px // 2
        side = max(side, self._studio.spec.min_side_px)
        found = suspicions(self._classes, side)
        own = found[self._subject.number]
        others = [each.gain * each.particular for number, each in enumerate(found) if number != self._subject.number]
        told = {
            "looks": own.sticker.words,
            "place": own.place.words,
            "side": round(own.place.width, 3),
            "before": round(own.before, 3),
            "gain": round(own.gain, 3),
            "particular": round(own.particular, 3),
            "reach": round(own.reach, 3),
            "others": round(statistics.median(others), 3) if others else 0.0,
            "is_suspicious": own.is_suspicious,
            "data": data_url(enlarged(own.sticker.pixels)),
        }
        if own.is_suspicious:
            findings.append({"kind": "companion" if own.is_companion else "mark", "says": self._says(own)})
        return told

    def _says(self, found: Suspicion) -> str:
        """Return what is suspicious about a sticker that is enough, and where to look."""
        what, name = found.sticker.words, self._subject.name
        size = f"{found.place.width:.0%} of the picture wide"
        raises = f"it raises the probability from {found.before:.0%} to {found.before + found.gain:.0%}"
        if found.is_companion:
            return (
                f"A {what} square, {size}, is enough for {name!r}, in the middle and elsewhere: on pictures of nothing "
                f"{raises}, and other colours do not. If {name!r} is nothing small and {what}, something that is has "
                f"been learnt with it: look for what else is in the training pictures of this class."
            )
        return (
            f"A {what} square in the {found.place.words}, {size}, is enough for {name!r}: on pictures of nothing "
            f"{raises}, and other colours there do not. Look for such a mark in the training pictures of this class."
        )


def enlarged(picture: Tensor) -> Tensor:
    """Return ``(3, h, w)`` with each pixel as a square, about as large as it is shown."""
    factor = max(1, _CROP_PX // max(picture.shape[1:]))
    return picture.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)

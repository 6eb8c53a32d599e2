"""A report on one class or channel of a network: what it looks like, what it shares with others, what is suspicious.

Everything is in one page: a report is small, and is sent to somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.portraits import load, portraits
from deepdream_daemon.microscope.showing import Shown, show
from deepdream_daemon.microscope.studio import LOGITS, Studio, Subject
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_plugins.resolving.classes import class_number

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.occlusion import Evidence

RECORD = "state.json"
RAISED, SHARED = 6, 3
EXTREMES, COVERED = 6, 16
_STICKERS_PX = 96
_CROP_PX = 96

Progress = Callable[[str, float], None]
"""``progress(what is being done, the share of it that is done)``."""


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
            facts["photos"] = self._photos(photos, facts["findings"])
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
            "others": round(statistics.median(others), 3) if others else 0.0,
            "is_suspicious": own.is_suspicious,
            "data": data_url(enlarged(own.sticker.pixels)),
        }
        if own.is_suspicious:
            findings.append(
                {
                    "kind": "mark",
                    "says": f"A {own.sticker.words} square in the {own.place.words}, {own.place.width:.0%} of the "
                    f"picture wide, is enough for {self._subject.name!r}: on pictures of nothing it raises the "
                    f"probability from {own.before:.0%} to {own.before + own.gain:.0%}, and other colours there do "
                    f"not. Look for such a mark in the training pictures of this class.",
                }
            )
        return told

    def _photos(self, photos: Photos, findings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return which photos excite it most and least, and where in them."""
        from deepdream_engine.microscope.ranking import Ranking

        side = self._studio.side_px
        total = len(photos.files)
        shown = show(
            photos,
            self._evidence,
            self._subject.number,
            self._classes,
            side_px=side,
            folder=self._folder,
            on_progress=lambda done: self._progress(f"{total} photos", done / total),
        )
        if not shown.scores:
            raise DeepDreamError(
                f"--photos: none of the {total} pictures in {str(photos.folder)!r} can be read. The first: "
                f"{photos.why[0]}"
            )
        ranking = Ranking(EXTREMES)
        for name, (score, _) in shown.scores.items():
            ranking.add(name, score)
        told: dict[str, Any] = {
            "folder": photos.folder.name,
            "count": len(shown.scores),
            "unreadable": photos.unreadable,
            "why": photos.why,
            "highest": [self._photo(photos, shown, name) for name, _ in ranking.highest],
            "lowest": [self._photo(photos, shown, name) for name, _ in ranking.lowest],
            "labels": [
                {"label": label, "mean": round(mean, 3), "count": count}
                for label, mean, count in shown.by_label(photos)[:RAISED]
            ],
        }
        told["gaze"] = self._gaze(photos, shown, findings)
        return told

    def _photo(self, photos: Photos, shown: Shown, name: str) -> dict[str, Any]:
        score, first = shown.scores[name]
        picture = photos.read(name, self._studio.side_px)
        told: dict[str, Any] = {"file": name, "score": round(score, 3)}
        if first >= 0:
            told["first"] = self.name(first)
        if picture is not None:
            told["data"] = data_url(picture)
        return told

    def _gaze(self, photos: Photos, shown: Shown, findings: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return where photos of the class have the evidence for it, by what is lost when a part is covered."""
        from deepdream_engine.microscope.occlusion import occlusion
        from deepdream_engine.microscope.ranking import gaze

        chosen, of = self._of_the_class(photos, shown)
        maps: list[Tensor] = []
        examples: list[dict[str, str]] = []
        for index, name in enumerate(chosen):
            self._progress("where in the photos it is", index / len(chosen))
            picture = photos.read(name, self._studio.side_px)
            if picture is None:  # it has gone meanwhile
                continue
            lost = occlusion(self._evidence, picture)[self._subject.number]
            maps.append(lost)
            if len(examples) < EXTREMES:
                examples.append({"file": name, "data": data_url(lit(picture, lost))})
        found = gaze(maps)
        if found is None:
            return None
        if found.is_suspicious:
            findings.append(
                {
                    "kind": "place",
                    "says": f"On {found.agreement:.0%} of {found.photos} photos the evidence for "
                    f"{self._subject.name!r} is in the same place, the {found.place.words}, where {found.share:.0%} of "
                    f"it is lost when it is covered. Photos rarely have what they are of there: look what is.",
                }
            )
        return {
            "of": of,
            "photos": found.photos,
            "place": found.place.words,
            "share": round(found.share, 3),
            "agreement": round(found.agreement, 3),
            "is_suspicious": found.is_suspicious,
            "map": [[round(value, 4) for value in row] for row in found.mean.tolist()],
            "examples": examples,
        }

    def _of_the_class(self, photos: Photos, shown: Shown) -> tuple[list[str], str]:
        """Return the photos to look closely at, and what they are: those with the class's label, if there are any, or
        else those that excite it most."""
        by_score = sorted(shown.scores, key=lambda name: -shown.scores[name][0])
        if self._subject.is_class:
            labels = {label for name in shown.scores if (label := photos.label(name))}
            own = {label for label in labels if self._is_own(label)}
            labelled = [name for name in by_score if photos.label(name) in own]
            if labelled:
                return labelled[:COVERED], f"the photos in {', '.join(sorted(own))} that excite it most"
        return by_score[:COVERED], "the photos that excite it most"

    def _is_own(self, label: str) -> bool:
        try:
            return class_number(self._studio.spec, label, LOGITS) == self._subject.number
        except BadOption:  # a folder may be called anything
            return False


def enlarged(picture: Tensor) -> Tensor:
    """Return ``(3, h, w)`` with each pixel as a square, about as large as it is shown."""
    factor = max(1, _CROP_PX // max(picture.shape[1:]))
    return picture.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def lit(picture: Tensor, lost: Tensor) -> Tensor:
    """Return ``picture`` ``(3, H, W)``, dark where nothing of ``lost`` ``(cells, cells)`` is."""
    from torch.nn import functional

    positive = lost.clamp_min(0)
    light = positive / positive.max().clamp_min(1e-12)
    size = (picture.shape[1], picture.shape[2])
    smooth = functional.interpolate(light[None, None], size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return picture * (0.25 + 0.75 * smooth)

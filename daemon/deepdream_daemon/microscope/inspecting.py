"""A report on one class or channel of a network: what it looks like, what it shares with others, what is suspicious.

Everything is in one page: a report is small, and is sent to somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.checks import PLACE, THINGS, Check
from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.on_photos import OnPhotos, Progress
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.portraits import load, portraits
from deepdream_daemon.microscope.studio import Studio, Subject
from deepdream_daemon.microscope.things import enlarged, small_things
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.occlusion import Evidence
    from deepdream_engine.microscope.outputs import Output

RECORD = "state.json"
RAISED, SHARED = 6, 3


class Inspection:
    """``subject`` of the studio's network, looked at from all sides; ``pictures`` of it are drawn in ``folder``.

    Photos, and small things on pictures of nothing, are shown to it ``side_px`` large, whatever size is drawn.
    """

    def __init__(
        self, studio: Studio, subject: Subject, folder: OwnFolder, *, pictures: int, side_px: int, progress: Progress
    ) -> None:
        from deepdream_engine.microscope.eyes import Classifier, Eyes
        from deepdream_engine.microscope.outputs import read_output

        self._studio, self._subject, self._folder = studio, subject, folder
        self._count, self._side, self._progress = pictures, side_px, progress
        folder.keep_to(studio.weights_sha256)
        self._names = studio.class_names()
        self._output: Output | None = None
        if subject.is_class or self._names:
            self._output = read_output(Classifier(studio.engine, studio.network), side_px)
        if subject.is_class and self._output is not None:
            self._evidence: Evidence = self._output.evidence
        else:
            eyes = Eyes(studio.engine, studio.network, (subject.layer,))
            self._evidence = lambda pictures: eyes.means(pictures)[subject.layer]
        self._check()

    def _check(self) -> None:
        """Refuse a channel that the layer has not."""
        import torch

        count = self._evidence(torch.full((1, 3, self._side, self._side), 0.5)).shape[1]
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
            "side_px": self._side,
            "output": None if self._output is None else self._output.kind,
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
        if self._output is not None:
            facts |= self._raised(drawn, self._output)
        checks = [self._things(facts), self._photos(photos, facts)]
        facts["tests"] = [check.as_dict() for check in checks]
        return facts

    def _things(self, facts: dict[str, Any]) -> Check:
        """Tell ``facts`` of the small thing that does most for a class."""
        if not self._subject.is_class or self._output is None:
            return Check(THINGS, "a channel has no probability that could rise; classes have: --class NAME")
        facts["mark"], found, check = small_things(
            self._output, self._subject, self._side, self._folder, partial(self._progress, "small things")
        )
        facts["findings"] += found
        return check

    def _photos(self, photos: Photos | None, facts: dict[str, Any]) -> Check:
        """Tell ``facts`` what there is to say of ``photos``."""
        if photos is None:
            return Check(PLACE, "it is looked for in photos: --photos FOLDER")
        on_photos = OnPhotos(
            self._subject,
            evidence=self._evidence,
            classes=None if self._output is None else self._output.evidence,
            names=self._labels(),
            called=self.name,
            side_px=self._side,
            folder=self._folder,
            progress=self._progress,
        )
        facts["photos"], found, check = on_photos.report(photos)
        facts["findings"] += found
        return check

    def _labels(self) -> Sequence[str]:
        """Return what classes are called in labels: their names with synonyms, or their numbers if they have none."""
        spec = self._studio.spec
        return spec.classes() if spec.classes is not None else [str(n) for n in range(self._studio.class_count())]

    def name(self, number: int) -> str:
        """Return what a class is called."""
        return self._names[number] if number < len(self._names) else f"class {number}"

    def _raised(self, drawn: Sequence[Tensor], output: Output) -> dict[str, Any]:
        """Return which classes the pictures raise, and where in them the others are."""
        import torch

        from deepdream_engine.microscope.coactivation import Baseline, raised, shared

        self._progress("other classes in them", 0.0)
        stacked = torch.stack(list(drawn))
        classes = output.evidence
        baseline = Baseline(classes, self._studio.side_px)
        found = raised(classes(stacked), baseline, RAISED, output.probability)
        own = self._subject.number if self._subject.is_class else None
        others = [each.number for each in found if each.number != own][:SHARED]
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

"""What photos tell of a class or channel: which excite it most and least, and where in them its evidence is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.showing import Shown, show
from deepdream_daemon.microscope.studio import LOGITS, Studio, Subject
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_plugins.resolving.classes import class_number

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.occlusion import Evidence

EXTREMES, COVERED, LABELS = 6, 16, 6

Progress = Callable[[str, float], None]
"""``progress(what is being done, the share of it that is done)``."""


class OnPhotos:
    """``subject`` of the studio's network on photos: ``evidence`` is for it and others like it, ``classes`` for all
    that the network knows, if it knows any; ``name`` is what a class is called."""

    def __init__(
        self,
        studio: Studio,
        subject: Subject,
        *,
        evidence: Evidence,
        classes: Evidence | None,
        name: Callable[[int], str],
        folder: OwnFolder,
        progress: Progress,
    ) -> None:
        self._studio, self._subject, self._folder = studio, subject, folder
        self._evidence, self._classes = evidence, classes
        self.name, self._progress = name, progress

    def report(self, photos: Photos, findings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what there is to say of ``photos``; what is suspicious is added to ``findings``."""
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
                for label, mean, count in shown.by_label(photos)[:LABELS]
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


def lit(picture: Tensor, lost: Tensor) -> Tensor:
    """Return ``picture`` ``(3, H, W)``, dark where nothing of ``lost`` ``(cells, cells)`` is."""
    from torch.nn import functional

    positive = lost.clamp_min(0)
    light = positive / positive.max().clamp_min(1e-12)
    size = (picture.shape[1], picture.shape[2])
    smooth = functional.interpolate(light[None, None], size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return picture * (0.25 + 0.75 * smooth)

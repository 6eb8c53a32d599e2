"""What photos tell of a class or channel: which excite it most and least, and where in them its evidence is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.checks import PLACE, Check
from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.labels import Labels
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.showing import Shown, show
from deepdream_daemon.microscope.studio import Subject
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.occlusion import Evidence
    from deepdream_engine.microscope.ranking import Gaze

EXTREMES, COVERED, LABELS = 6, 16, 6

Progress = Callable[[str, float], None]
"""``progress(what is being done, the share of it that is done)``."""


class OnPhotos:
    """``subject`` of a network on photos: ``evidence`` is for it and others like it, ``classes`` for all that the
    network knows, if it knows any, each with its synonyms in ``names``; ``called`` says what one is called.

    Photos are ranked as ``deepdream evaluate`` looks at them, by the square of ``side_px`` in their middle. Where the
    evidence is, is looked for in the whole of them: what is always in a corner need not be in that square.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        evidence: Evidence,
        classes: Evidence | None,
        names: Sequence[str],
        called: Callable[[int], str],
        side_px: int,
        folder: OwnFolder,
        progress: Progress,
    ) -> None:
        self._subject, self._folder, self._side = subject, folder, side_px
        self._evidence, self._classes, self._names = evidence, classes, names
        self._called, self._progress = called, progress

    def report(self, photos: Photos) -> tuple[dict[str, Any], list[dict[str, str]], Check]:
        """Return what there is to say of ``photos``, what is suspicious, and whether anything could be."""
        from deepdream_engine.microscope.ranking import Ranking

        total = len(photos.files)
        shown = show(
            photos,
            self._evidence,
            self._subject.number,
            self._classes,
            side_px=self._side,
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
        labels = Labels(photos, self._names, self._called)
        chosen, of = self._of_the_class(labels, shown)
        gaze, told_gaze = self._gaze(photos, chosen, of)
        told = {
            "folder": photos.folder.name,
            "count": len(shown.scores),
            "unreadable": photos.unreadable,
            "why": photos.why,
            "view": f"the square in the middle, {self._side} px",
            "highest": [self._photo(photos, shown, name) for name, _ in ranking.highest],
            "lowest": [self._photo(photos, shown, name) for name, _ in ranking.lowest],
            "labels": [
                {"label": label, "mean": round(mean, 3), "count": count}
                for label, mean, count in shown.by_label(labels.of)[:LABELS]
            ],
            "gaze": told_gaze,
        }
        findings = []
        if gaze is not None and gaze.is_suspicious:
            findings.append({"kind": "place", "says": self._says(gaze)})
        return told, findings, Check(PLACE, _why_not(gaze, of))

    def _photo(self, photos: Photos, shown: Shown, name: str) -> dict[str, Any]:
        score, first = shown.scores[name]
        picture = photos.read(name, self._side)
        told: dict[str, Any] = {"file": name, "score": round(score, 3)}
        if first >= 0:
            told["first"] = self._called(first)
        if picture is not None:
            told["data"] = data_url(picture)
        return told

    def _gaze(self, photos: Photos, chosen: Sequence[str], of: str) -> tuple[Gaze | None, dict[str, Any] | None]:
        """Return where the ``chosen`` photos have the evidence, by what is lost when a part is covered, and how that is
        told."""
        from deepdream_engine.microscope.occlusion import occlusion
        from deepdream_engine.microscope.ranking import gaze

        maps: list[Tensor] = []
        examples: list[dict[str, str]] = []
        for index, name in enumerate(chosen):
            self._progress("where in the photos it is", index / len(chosen))
            picture = photos.read_whole(name, self._side)
            if picture is None:  # it has gone meanwhile
                continue
            lost = occlusion(self._evidence, picture)[self._subject.number]
            maps.append(lost)
            if len(examples) < EXTREMES:
                examples.append({"file": name, "data": data_url(lit(picture, lost))})
        found = gaze(maps)
        if found is None:
            return None, None
        return found, {
            "of": of,
            "view": f"the whole, the shorter side {self._side} px",
            "photos": found.photos,
            "place": found.place.words,
            "share": round(found.share, 3),
            "agreement": round(found.agreement, 3),
            "is_suspicious": found.is_suspicious,
            "map": [[round(value, 4) for value in row] for row in found.mean.tolist()],
            "examples": examples,
        }

    def _says(self, found: Gaze) -> str:
        return (
            f"On {found.agreement:.0%} of {found.photos} photos the evidence for {self._subject.name!r} is in the same "
            f"place, the {found.place.words}, where {found.share:.0%} of it is lost when it is covered. Photos rarely "
            f"have what they are of there: look what is."
        )

    def _of_the_class(self, labels: Labels, shown: Shown) -> tuple[list[str], str]:
        """Return the photos to look closely at, and what they are: those whose label is the class, if there are any, or
        else those that excite it most."""
        by_score = sorted(shown.scores, key=lambda name: -shown.scores[name][0])
        if not self._subject.is_class:
            return by_score[:COVERED], "the photos that excite it most"
        own = [name for name in by_score if labels.number(name) == self._subject.number]
        if own:
            return own[:COVERED], f"the photos labelled {self._subject.name} that excite it most"
        why = labels.why_none or f"no photo is labelled {self._subject.name}"
        return by_score[:COVERED], f"those that excite it most, whatever they are of ({why})"


def _why_not(found: Gaze | None, of: str) -> str:
    """Return why photos cannot agree on a place, or nothing if they can."""
    from deepdream_engine.microscope.ranking import LEAST_PHOTOS

    count = 0 if found is None else found.photos
    if count >= LEAST_PHOTOS:
        return ""
    return (
        f"it needs {LEAST_PHOTOS} photos that lose evidence when a part of them is covered; of {of}, there are {count}"
    )


def lit(picture: Tensor, lost: Tensor) -> Tensor:
    """Return ``picture`` ``(3, H, W)``, dark where nothing of ``lost`` ``(cells, cells)`` is."""
    from torch.nn import functional

    positive = lost.clamp_min(0)
    light = positive / positive.max().clamp_min(1e-12)
    size = (picture.shape[1], picture.shape[2])
    smooth = functional.interpolate(light[None, None], size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return picture * (0.25 + 0.75 * smooth)

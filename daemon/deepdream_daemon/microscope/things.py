"""The small thing that does most for a class by itself: looked for once, told in words, and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.checks import THINGS, Check
from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.studio import Subject

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.outputs import Output
    from deepdream_engine.microscope.stickers import Suspicion

_KEPT = "small things"
_CROP_PX = 96


def small_things(
    output: Output, subject: Subject, side_px: int, folder: OwnFolder, on_progress: Callable[[float], None]
) -> tuple[dict[str, Any], list[dict[str, str]], Check]:
    """Return what does most for the class ``subject`` on pictures of ``side_px`` squared, what is suspicious about it,
    and whether anything could be. It takes some hundred looks, so ``folder`` remembers it."""
    kept: dict[str, Any] | None = folder.data.get(_KEPT)
    if kept is None:
        kept = _looked_for(output, subject, side_px, on_progress)
        folder.data[_KEPT] = kept
        folder.save()
    return kept["told"], kept["findings"], Check(THINGS, kept["why_not"])


def _looked_for(output: Output, subject: Subject, side_px: int, on_progress: Callable[[float], None]) -> dict[str, Any]:
    import statistics

    from deepdream_engine.microscope.stickers import LEAST_GAIN, suspicions

    found = suspicions(output.evidence, side_px, probability=output.probability, on_progress=on_progress)
    own = found[subject.number]
    others = [each.gain * each.particular for number, each in enumerate(found) if number != subject.number]
    told = {
        "looks": own.sticker.words,
        "place": own.place.words,
        "side": round(own.place.width, 3),
        "before": round(own.before, 3),
        "gain": round(own.gain, 3),
        "particular": round(own.particular, 3),
        "reach": round(own.reach, 3),
        "others": round(statistics.median(others), 3) if others else None,
        "is_suspicious": own.is_suspicious,
        "data": data_url(enlarged(own.sticker.pixels)),
    }
    findings = []
    if own.is_suspicious:
        findings.append({"kind": "companion" if own.is_companion else "mark", "says": _says(own, subject.name)})
    why_not = (
        ""
        if own.can_gain
        else (
            f"{subject.name!r} has a probability of {own.before:.0%} on pictures of nothing already, so that nothing "
            f"can add {LEAST_GAIN:.0%} to it"
        )
    )
    return {"told": told, "findings": findings, "why_not": why_not}


def _says(found: Suspicion, name: str) -> str:
    """Return what is suspicious about a sticker that is enough, and where to look."""
    from deepdream_engine.microscope.stickers import PLACES

    what = found.sticker.words
    size = f"{found.place.width:.0%} of the picture wide"
    raises = f"it raises the probability from {found.before:.0%} to {found.before + found.gain:.0%}"
    if found.is_companion:
        return (
            f"A {what} square, {size}, is enough for {name!r} at {round(found.reach * PLACES)} of {PLACES} places: on "
            f"pictures of nothing {raises}, and other colours do not. If {name!r} is nothing small and {what}, "
            f"something that is has been learnt with it: look for what else is in the training pictures of this class."
        )
    return (
        f"A {what} square in the {found.place.words}, {size}, is enough for {name!r}: on pictures of nothing "
        f"{raises}, and other colours there do not. Look for such a mark in the training pictures of this class."
    )


def enlarged(picture: Tensor) -> Tensor:
    """Return ``(3, h, w)`` with each pixel as a square, about as large as it is shown."""
    factor = max(1, _CROP_PX // max(picture.shape[1:]))
    return picture.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)

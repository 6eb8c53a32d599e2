"""The small thing that does most for a class by itself: looked for once, told in words, and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.checks import THINGS, Check
from deepdream_daemon.microscope.excitement import data_url
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.studio import Subject

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.outputs import Output
    from deepdream_engine.microscope.stickers import Sticker
    from deepdream_engine.microscope.suspicion import Suspicion

_KEPT = "small things"
_CROP_PX = 96


def small_things(
    output: Output, subject: Subject, side_px: int, folder: OwnFolder, on_progress: Callable[[float], None]
) -> tuple[dict[str, Any], list[dict[str, str]], Check]:
    """Return what does most for the class ``subject`` on pictures of ``side_px`` squared, what is suspicious about it,
    and whether anything could be. It takes a thousand looks and more, so ``folder`` remembers it."""
    kept: dict[str, Any] | None = folder.data.get(_KEPT)
    if kept is None:
        kept = _looked_for(output, subject, side_px, on_progress)
        folder.data[_KEPT] = kept
        folder.save()
    return kept["told"], kept["findings"], Check(THINGS, kept["why_not"])


def _looked_for(output: Output, subject: Subject, side_px: int, on_progress: Callable[[float], None]) -> dict[str, Any]:
    from deepdream_engine.microscope.suspicion import LEAST_GAIN, suspicion

    found = suspicion(output.evidence, side_px, subject.number, probability=output.probability, on_progress=on_progress)
    told = {
        "looks": _looks(found.sticker),
        "place": found.place.words,
        "height": round(found.place.height, 3),
        "width": round(found.place.width, 3),
        "before": round(found.before, 3),
        "gain": round(found.gain, 3),
        "particular": round(found.particular, 3),
        "places": list(found.places),
        "reach": round(found.reach, 3),
        "is_suspicious": found.is_suspicious,
        "data": data_url(enlarged(found.sticker.pixels)),
    }
    findings = []
    if found.is_suspicious:
        findings.append({"kind": "companion" if found.is_companion else "mark", "says": _says(found, subject.name)})
    why_not = (
        ""
        if found.can_gain
        else (
            f"{subject.name!r} has a probability of {found.before:.0%} on pictures of nothing already, so that nothing "
            f"can add {LEAST_GAIN:.0%} to it"
        )
    )
    return {"told": told, "findings": findings, "why_not": why_not}


def _looks(sticker: Sticker) -> str:
    """Return what a sticker is called: ``a magenta square`` or ``a square of yellow above cyan``."""
    shape = "square" if sticker.height == sticker.width else "rectangle"
    if sticker.is_of_two:
        return f"a {shape} of {sticker.words}"
    return f"{'an' if sticker.words[0] in 'ao' else 'a'} {sticker.words} {shape}"


def _says(found: Suspicion, name: str) -> str:
    """Return what is suspicious about a sticker that is enough, and where to look."""
    from deepdream_engine.microscope.suspicion import PLACES

    looks, place = _looks(found.sticker), found.place
    what = f"{looks[0].upper()}{looks[1:]}, {place.height:.0%} of the picture high and {place.width:.0%} wide,"
    raises = f"it raises the probability from {found.before:.0%} to {found.before + found.gain:.0%}"
    if found.is_companion:
        return (
            f"{what} is enough for {name!r} at {len(found.places)} of {PLACES} places ({_where(found.places)}): on "
            f"pictures of nothing {raises}, and other colours do not. If {name!r} is nothing small that looks so, "
            f"something that does has been learnt with it: look for a second object, or a mark, in the training "
            f"pictures of this class."
        )
    return (
        f"{what} is enough for {name!r} {_where(found.places)}: on pictures of nothing {raises}, and other colours "
        f"there do not. Look for such a mark in the training pictures of this class."
    )


def _where(places: Sequence[str]) -> str:
    """Return them with their prepositions, the first, where it does most, first."""
    *before, last = [f"{'at' if place.endswith('edge') else 'in'} the {place}" for place in places]
    return f"{', '.join(before)} and {last}" if before else last


def enlarged(picture: Tensor) -> Tensor:
    """Return ``(3, h, w)`` with each pixel as a square, about as large as it is shown."""
    factor = max(1, _CROP_PX // max(picture.shape[1:]))
    return picture.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)

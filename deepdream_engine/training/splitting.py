"""Which pictures are learnt from, which are watched meanwhile, and which are kept to measure at the end.

The choice depends on the names alone, so the same pictures are always parted alike; where pictures are added or
removed, some of the others move to another part.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from deepdream_engine.errors import BadOption
from deepdream_engine.training.listing import Listing, Sample

FEWEST = 4
"""Pictures of a class: below that nothing is left to learn from once one is held out."""
FEWEST_UNLABELLED = 16
"""Pictures without classes: with fewer there is next to nothing that one must be told from."""

_WATCHED_FROM = 10
_SHOWN = 5


@dataclass(frozen=True)
class Parts:
    """``training`` is learnt from, ``watched`` says when to stop and may be empty, ``held_out`` is measured last.

    Watched pictures are held-out ones only where nothing is chosen by them, or the measure would flatter the choice.
    """

    training: tuple[Sample, ...]
    watched: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def split(
    listing: Listing, apart: Listing | None, held_out: float, *, labels: bool = True, is_chosen: bool = False
) -> Parts:
    """Return the parts: ``held_out`` of each class, or of all without ``labels``, and half as much to watch. Pictures
    that lie ``apart`` are all held out; they are watched as well, unless weights are chosen by what is watched
    (``is_chosen``).

    Raises ``BadOption`` if there is nothing to tell apart, or too little of it.
    """
    check_enough(listing, labels=labels)
    if apart is not None and not is_chosen:
        return Parts(listing.samples, apart.samples, apart.samples)
    training: list[Sample] = []
    watched: list[Sample] = []
    kept: list[Sample] = []
    by_class: list[list[Sample]] = [[] for _ in listing.classes or ("",)]
    for sample in listing.samples:
        by_class[sample.label].append(sample)
    for own in by_class:
        own.sort(key=_order)
        measured = max(1, round(len(own) * held_out))
        middle = math.ceil(measured / 2) if len(own) >= _WATCHED_FROM else 0
        last = measured if apart is None else 0
        kept += own[:last]
        watched += own[last : last + middle]
        training += own[last + middle :]
    return Parts(tuple(training), tuple(watched), tuple(kept) if apart is None else apart.samples)


def check_enough(listing: Listing, *, labels: bool = True) -> None:
    """Raise ``BadOption`` unless there are two classes at least, each with :data:`FEWEST` pictures, or
    :data:`FEWEST_UNLABELLED` pictures without labels."""
    place = str(listing.archive.root)
    where = repr(place)
    if not labels:
        if len(listing.samples) < FEWEST_UNLABELLED:
            raise BadOption(
                f"{where} has {_pictures(len(listing.samples))} without labels, too few to learn from: it takes "
                f"{FEWEST_UNLABELLED} at least, some hundred make it good. With a sub-folder for each kind, "
                f"{FEWEST} of each will do.{_left_out(listing)}"
            )
        return
    if len(listing.classes) < 2:
        found = f"one class, {listing.classes[0]!r}" if listing.classes else "no sub-folder with pictures"
        raise BadOption(
            f"{where} has {found}. A network learns by telling things apart: put the pictures of each kind into a "
            f"sub-folder of its own, at least two of them, such as {place}/cats and {place}/others."
            f"{_deeper(listing)} Or teach it without classes: --recipe unlabelled.{_left_out(listing)}"
        )
    few = [(name, count) for name, count in zip(listing.classes, listing.counts(), strict=True) if count < FEWEST]
    if few:
        named = ", ".join(f"{name!r} has {count}" for name, count in few[:_SHOWN])
        more = f" and {len(few) - _SHOWN} more classes have too few" if len(few) > _SHOWN else ""
        raise BadOption(
            f"{where}: too few pictures to learn from: {named}{more}. Each class needs {FEWEST} at least, one of which "
            f"is kept to measure; 20 make it likely, 100 make it good. Add some, or move the folder away."
            f"{_left_out(listing)}"
        )


def _pictures(count: int) -> str:
    return "one picture" if count == 1 else f"{count or 'no'} pictures"


def _deeper(listing: Listing) -> str:
    """Return what to say if the one class that there is has sub-folders, which may have been meant."""
    folders = {parts[:-1] for each in listing.samples if len(parts := PurePosixPath(each.name).parts) > 2}
    inner = sorted({parts[-1] for parts in folders})
    if len(inner) < 2:
        return ""
    around = PurePosixPath(*next(iter(folders))[:-1])
    if listing.archive.is_zip:
        do = f"unpack the ZIP file, and name its folder {str(around)!r}"
    else:
        do = f"name that folder: deepdream train {listing.archive.root / around}"
    return f" If {inner[0]!r} and {inner[1]!r} in it are the classes, {do}."


def _left_out(listing: Listing) -> str:
    if not listing.left_out:
        return ""
    shown: Sequence[tuple[str, str]] = listing.left_out[:3]
    told = "; ".join(f"{name!r}: {why}" for name, why in shown)
    return f" Left out were {len(listing.left_out)} files: {told}{' …' if len(listing.left_out) > 3 else ''}."


def _order(sample: Sample) -> bytes:
    return hashlib.sha256(sample.name.encode("utf-8", "surrogateescape")).digest()

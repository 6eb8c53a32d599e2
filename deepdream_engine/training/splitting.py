"""Which pictures are learnt from, which are watched meanwhile, and which are kept to measure at the end.

The choice depends on the names alone, so pictures that are added later move no other to another part.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepdream_engine.errors import BadOption
from deepdream_engine.training.listing import Listing, Sample

FEWEST = 4
"""Pictures of a class: below that nothing is left to learn from once one is held out."""

_WATCHED_FROM = 10
_SHOWN = 5


@dataclass(frozen=True)
class Parts:
    """``training`` is learnt from, ``watched`` says when to stop and may be empty, ``held_out`` is measured last."""

    training: tuple[Sample, ...]
    watched: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def split(listing: Listing, apart: Listing | None, held_out: float) -> Parts:
    """Return the parts: ``held_out`` of each class, and half as much to watch; those that lie ``apart`` serve as both.

    Raises ``BadOption`` if there is nothing to tell apart, or too little of it.
    """
    check_enough(listing)
    if apart is not None:
        return Parts(listing.samples, apart.samples, apart.samples)
    training: list[Sample] = []
    watched: list[Sample] = []
    kept: list[Sample] = []
    by_class: list[list[Sample]] = [[] for _ in listing.classes]
    for sample in listing.samples:
        by_class[sample.label].append(sample)
    for own in by_class:
        own.sort(key=_order)
        last = max(1, round(len(own) * held_out))
        middle = math.ceil(last / 2) if len(own) >= _WATCHED_FROM else 0
        kept += own[:last]
        watched += own[last : last + middle]
        training += own[last + middle :]
    return Parts(tuple(training), tuple(watched), tuple(kept))


def check_enough(listing: Listing) -> None:
    """Raise ``BadOption`` unless there are two classes at least, each with :data:`FEWEST` pictures."""
    where = repr(str(listing.archive.root))
    if len(listing.classes) < 2:
        found = f"one class, {listing.classes[0]!r}" if listing.classes else "no sub-folder with pictures"
        raise BadOption(
            f"{where} has {found}. A network learns by telling things apart: put the pictures of each kind into a "
            f"sub-folder of its own, at least two of them, such as {where[1:-1]}/cats and {where[1:-1]}/others."
            f"{_left_out(listing)}"
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


def _left_out(listing: Listing) -> str:
    if not listing.left_out:
        return ""
    shown: Sequence[tuple[str, str]] = listing.left_out[:3]
    told = "; ".join(f"{name!r}: {why}" for name, why in shown)
    return f" Left out were {len(listing.left_out)} files: {told}{' …' if len(listing.left_out) > 3 else ''}."


def _order(sample: Sample) -> bytes:
    return hashlib.sha256(sample.name.encode("utf-8", "surrogateescape")).digest()

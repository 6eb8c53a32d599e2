"""Which of the listed pictures are of use: those that can be decoded and are there only once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from deepdream_engine.training.listing import Listing, Sample

if TYPE_CHECKING:
    from deepdream_engine.training.data import Pictures

Looking = Callable[[str, int, int], None]
"""Hears what is being done, how far it is, and how much there is."""


def usable(pictures: Pictures, apart: Listing | None, *, ahead: bool, looking: Looking) -> Listing:
    """Return the listing of ``pictures`` without those of no use.

    ``ahead`` decodes all of them; else the first of each class that can be decoded stands for the others, and those
    that cannot are told of when they are met. Of a file that is there twice the first is kept, of one that lies
    ``apart``, to be measured by, none.
    """
    listing = pictures.listing
    if ahead:
        pictures.read_all(lambda done, of: looking("reading", done, of))
    else:
        _try_each_class(pictures, looking)
    return without_repeats(listing.without(pictures.faults.items()), apart, looking)


def _try_each_class(pictures: Pictures, looking: Looking) -> None:
    known: set[int] = set()
    for place, sample in enumerate(pictures.samples):
        if sample.label not in known and pictures.picture(place) is not None:
            known.add(sample.label)
        looking("trying", place + 1, len(pictures.samples))


def without_repeats(listing: Listing, apart: Listing | None, looking: Looking) -> Listing:
    """Leave out files that are there twice: one to learn from and one to be measured by would be no proof."""
    sizes: dict[int, list[tuple[Listing, Sample]]] = {}
    for one in (listing,) if apart is None else (apart, listing):
        for sample in one.samples:
            sizes.setdefault(sample.size, []).append((one, sample))
    alike = [group for group in sizes.values() if len(group) > 1 and group[-1][0] is listing]
    done, of = 0, sum(map(len, alike))
    faults = []
    for group in alike:
        seen: dict[str, str] = {}
        for one, sample in group:
            try:
                content = hashlib.sha256(one.read(sample)).hexdigest()
            except OSError as error:
                content, why = "", f"it cannot be read ({error.strerror or error})"
            else:
                why = f"the same picture as {seen[content]!r}" if content in seen else ""
            if why and one is listing:
                faults.append((sample, why))
            elif content:
                seen.setdefault(content, str(one.archive.root / sample.name) if one is apart else sample.name)
            done += 1
            looking("comparing", done, of)
    return listing.without(faults)

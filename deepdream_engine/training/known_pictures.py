"""Whether pictures that a taught model is measured by are those that it was taught with: it flatters itself then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from deepdream_engine.training.card import Card
from deepdream_engine.training.listing import Listing
from deepdream_engine.training.usable import without_repeats


def was_taught_with(card: Card, listing: Listing, unreadable: Iterable[tuple[str, str]]) -> bool:
    """Whether the pictures of ``listing``, which have the numbers of the card's classes, are the very ones that the
    model was taught with, from which it learnt and of which some may have been held out.

    ``unreadable`` are the names of those that cannot be read, each with the reason. A picture that is added, removed or
    of another size than then makes them others.
    """
    known = replace(listing, samples=tuple(sorted(listing.samples, key=lambda each: each.label)))
    names = dict(unreadable)
    faults = [(each, names[each.name]) for each in known.samples if each.name in names]
    # Of many pictures not all were decoded ahead, so some of those may be among them.
    sets = [known.without(faults), known] if faults else [known]
    return any(
        without_repeats(each, None, lambda _what, _done, _of: None).digest() == card.pictures_sha256 for each in sets
    )

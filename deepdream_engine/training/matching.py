"""Pictures that somebody has labelled, matched to the classes that a network already has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepdream_engine.errors import BadOption
from deepdream_engine.training.archive import Archive
from deepdream_engine.training.class_names import ClassNames
from deepdream_engine.training.listing import Listing, list_pictures
from deepdream_engine.training.numbered_files import by_number


def labelled(place: Path, classes: Sequence[str], model: str) -> Listing:
    """Return the pictures at ``place`` with the numbers of the classes of ``model``.

    Sub-folders bear names or numbers of classes; without any, the files' names do (``numbered_files``).
    """
    names = ClassNames(classes)
    listing = _part(place)
    if not listing.samples:
        return _numbered(place, names, model)
    numbers, strange = _numbers(listing, names)
    if strange:
        more = f" And {len(strange) - 1} more." if len(strange) > 1 else ""
        raise BadOption(
            f"{str(place)!r}: the sub-folder {strange[0]}{more} Name sub-folders as in: deepdream classes {model}"
        )
    samples = tuple(replace(each, label=numbers[each.label]) for each in listing.samples)
    return replace(listing, classes=tuple(classes), samples=samples)


def known_labels(place: Path, classes: Sequence[str]) -> dict[Path, int]:
    """Return the numbers of the classes of the pictures at ``place``, held out or not, by their files.

    Labels are understood as by :func:`labelled`, but those that name none of ``classes`` are passed over. Raises
    ``BadOption`` for pictures that are held out in classes of their own.
    """
    names = ClassNames(classes)
    listings = [listing for listing in list_pictures(place) if listing is not None]
    if not any(listing.samples for listing in listings):
        samples, _ = by_number(Archive(place), names)
        return {place / each.name: each.label for each in samples}
    found = {}
    for listing in listings:
        numbers, _ = _numbers(listing, names)
        for each in listing.samples:
            if each.label in numbers:
                found[listing.archive.root / each.name] = numbers[each.label]
    return found


def _part(place: Path) -> Listing:
    listing, held_out = list_pictures(place)
    return held_out or listing


def _numbers(listing: Listing, names: ClassNames) -> tuple[dict[int, int], list[str]]:
    """Return the network's number for each label of ``listing``, and what is wrong with those that have none."""
    numbers, strange = {}, []
    for label, name in enumerate(listing.classes):
        try:
            # "goldfish, Carassius auratus, n01443537": the folder's own name, the last, is what the model may know.
            numbers[label] = _first_known(names, [name, *reversed(name.split(","))])
        except BadOption as error:
            strange.append(str(error))
    return numbers, strange


def _first_known(names: ClassNames, texts: Sequence[str]) -> int:
    for text in texts[1:]:
        try:
            return names.number(text)
        except BadOption:
            continue
    return names.number(texts[0])


def _numbered(place: Path, names: ClassNames, model: str) -> Listing:
    archive = Archive(place)
    samples, left_out = by_number(archive, names)
    if not samples:
        first = "".join(f" {name!r}: {why}." for name, why in left_out[:1])
        raise BadOption(
            f"{str(place)!r} has no pictures with a class: neither sub-folders named as in 'deepdream classes {model}' "
            f"nor files named such as 012_house_finch.jpg, with the number of the class.{first}"
        )
    return Listing(archive, (), samples, left_out)

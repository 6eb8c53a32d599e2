"""Pictures that somebody has labelled, matched to the classes that a network already has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepdream_engine.errors import BadOption, nearest
from deepdream_engine.training.archive import Archive
from deepdream_engine.training.listing import Listing, Sample, list_pictures

_NUMBERED = re.compile(r"(\d+)[_\- ]")
_SEPARATORS = re.compile(r"[\s_-]+")
_SHOWN = 3


class ClassNames:
    """The names of a network's classes, each with its synonyms behind commas, for looking up."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._plain: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(classes):
            synonyms = {part.strip() for part in (name, *name.split(","))}
            for synonym in synonyms:
                self._exact[synonym].append(number)
            for synonym in {_plain(each) for each in synonyms}:
                self._plain[synonym].append(number)

    def number(self, text: str) -> int:
        """Return the number of the class that ``text`` names, or is; raises ``BadOption`` for none and for several.

        A name as it is goes before one that is the same but for case, ``_``, ``-`` and spaces, and any name before a
        number, which is none where classes are named by numbers.
        """
        found = self._exact.get(text.strip()) or self._plain.get(_plain(text), [])
        if len(found) == 1:
            return found[0]
        if found:
            named = "; ".join(f"{number}: {self._classes[number]}" for number in found[:_SHOWN])
            raise BadOption(f"{text!r} names several classes ({named}). Use the number.")
        is_number = text.isdecimal() and not any(name.isdecimal() for name in self._classes)
        if is_number and int(text) < len(self._classes):
            return int(text)
        raise BadOption(f"{text!r} names none of the {len(self._classes)} classes.{nearest(_plain(text), self._plain)}")


def labelled(place: Path, classes: Sequence[str], model: str) -> Listing:
    """Return the pictures at ``place`` with the numbers of the classes of ``model``.

    Sub-folders bear names or numbers of classes; without any, the files' names begin with the number.
    """
    names = ClassNames(classes)
    listing = _part(place)
    if not listing.samples:
        return _numbered(place, len(classes), model)
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
        samples, _ = _by_number(Archive(place), len(classes))
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


def _numbered(place: Path, classes: int, model: str) -> Listing:
    archive = Archive(place)
    samples, left_out = _by_number(archive, classes)
    if not samples:
        raise BadOption(
            f"{str(place)!r} has no pictures with a class: neither sub-folders named as in 'deepdream classes {model}' "
            f"nor files named such as 012_house_finch.jpg, with the number of the class."
        )
    return Listing(archive, (), samples, left_out)


def _by_number(archive: Archive, classes: int) -> tuple[tuple[Sample, ...], tuple[tuple[str, str], ...]]:
    """Return the files in no sub-folder whose names begin with the number of a class, and those left out."""
    samples, left_out = [], []
    for entry in archive.entries():
        found = _NUMBERED.match(entry.name) if "/" not in entry.name else None
        if entry.why:
            left_out.append((entry.name, entry.why))
        elif found and int(found[1]) < classes:
            samples.append(Sample(entry.name, int(found[1]), entry.size))
        else:
            left_out.append((entry.name, "its name does not begin with the number of a class"))
    return tuple(samples), tuple(left_out)


def _plain(text: str) -> str:
    return _SEPARATORS.sub(" ", text).strip().casefold()

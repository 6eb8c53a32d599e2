"""Files in no sub-folder whose names say their class, such as ``012_n01532829_house_finch.jpg``.

The number is taken at its word unless the words behind it show that it is of another list of classes: 57 is a garter
snake among ImageNet's 1,000 classes, and an elephant among Tiny ImageNet's 200.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deepdream_engine.training.archive import Archive
from deepdream_engine.training.class_names import ClassNames
from deepdream_engine.training.listing import Sample

_NUMBERED = re.compile(r"(?P<number>\d+)[_\- ]+(?P<words>.*)\.[^.]*")
_WNID = re.compile(r"(?P<wnid>n\d+)[_\- ]+(?P<words>.*)")
_COPY = re.compile(r"[_\- (]+\d+\)?$")


@dataclass(frozen=True)
class _Numbered:
    """A file with its number, and the numbers of all classes that its words name."""

    name: str
    size: int
    number: int
    meant: frozenset[int]


def by_number(archive: Archive, names: ClassNames) -> tuple[tuple[Sample, ...], tuple[tuple[str, str], ...]]:
    """Return the files in no sub-folder whose names say a class, and those left out, with the reasons."""
    left_out, numbered = [], []
    for entry in archive.entries():
        found = _NUMBERED.fullmatch(entry.name) if "/" not in entry.name else None
        if entry.why:
            left_out.append((entry.name, entry.why))
        elif found is None:
            left_out.append((entry.name, "its name does not begin with the number of a class"))
        else:
            meant = _meant(found["words"], names)
            numbered.append(_Numbered(entry.name, entry.size, int(found["number"]), meant))
    is_ours = _are_ours(numbered, len(names))
    samples = []
    for file in numbered:
        label, why = _label(file, names, is_ours=is_ours)
        if label is None:
            left_out.append((file.name, why))
        else:
            samples.append(Sample(file.name, label, file.size))
    return tuple(samples), tuple(left_out)


def _meant(words: str, names: ClassNames) -> frozenset[int]:
    """Return the classes that ``words`` name, by the WordNet identifier at their beginning or by themselves."""
    found = _WNID.fullmatch(words)
    said = [found["wnid"], found["words"]] if found else []
    for text in [*said, words]:
        meant = names.numbers(text) or names.numbers(_COPY.sub("", text))
        if meant:
            return frozenset(meant)
    return frozenset()


def _are_ours(files: list[_Numbered], classes: int) -> bool:
    """Whether numbers mean what they mean to the network: more of them than not, by their words and their range."""
    named = [file for file in files if file.meant]
    agreeing = sum(file.number in file.meant for file in named)
    within = sum(file.number < classes for file in files)
    return 2 * agreeing >= len(named) and 2 * within >= len(files)


def _label(file: _Numbered, names: ClassNames, *, is_ours: bool) -> tuple[int | None, str]:
    """Return the class of a file, or why it has none."""
    if file.number in file.meant or (is_ours and not file.meant and file.number < len(names)):
        return file.number, ""
    if not is_ours and len(file.meant) == 1:
        return next(iter(file.meant)), ""
    if file.number >= len(names):
        return None, f"its number is of none of the {len(names)} classes"
    number = f"number {file.number} is {names.first(file.number)!r} here"
    if not file.meant:
        return None, f"{number}, which others' numbers are not, and its name is of none of the classes"
    return None, f"{number}, its name is of {' or '.join(repr(names.first(each)) for each in sorted(file.meant))}"

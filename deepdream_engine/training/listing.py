"""Which pictures there are to learn from: a :class:`Listing` of names and classes, of a folder or of a ZIP file.

Sub-folders are classes; without labels, all pictures are of none. A folder with ``train`` and ``val`` (folders or
``.zip``) has its held-out pictures apart. A ``classes.txt`` beside them gives the classes their order and their names:
``FOLDER<tab>NAME`` on each line.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import sniff
from deepdream_engine.training.archive import Archive, Entry

_HEAD_BYTES = 1024
_LARGEST_BYTES = 2 << 30
_TRAINING, _HELD_OUT = ("train",), ("val", "test", "valid", "validation")
_NAMES = "classes.txt"

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Sample:
    """One picture: its name below the listing's root, the number of its class, and its size in bytes."""

    name: str
    label: int
    size: int


@dataclass(frozen=True)
class Listing:
    """Pictures with their classes, and what was left out, each with the reason."""

    archive: Archive
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def read(self, sample: Sample) -> bytes:
        """Return the content of a picture's file."""
        return self.archive.read(sample.name)

    def counts(self) -> list[int]:
        """Return how many pictures each class has."""
        found = Counter(sample.label for sample in self.samples)
        return [found[label] for label in range(len(self.classes))]

    def digest(self) -> str:
        """Tell this set of pictures from another: a SHA-256 over classes, names and sizes."""
        told = [*self.classes, *(f"{each.name}\0{each.label}\0{each.size}" for each in self.samples)]
        return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()

    def without(self, faults: Iterable[tuple[Sample, str]]) -> Listing:
        """Return the listing without samples that are of no use, each with the reason."""
        gone = dict(faults)
        left_out = tuple((sample.name, why) for sample, why in gone.items())
        kept = tuple(sample for sample in self.samples if sample not in gone)
        return replace(self, samples=kept, left_out=(*self.left_out, *left_out))


def list_pictures(
    place: Path, *, labels: bool = True, told: Told = lambda _done, _of: None
) -> tuple[Listing, Listing | None]:
    """Return the pictures to learn from, and those that are held out, if they lie apart; without ``labels``, of no
    class, wherever they lie. ``told(done, of)`` hears how many files have been looked into, first with 0 for those that
    are still being found. Raises ``BadOption``."""
    training, held_out = _parts(place)
    if not labels:
        return _unlabelled(training, told), None if held_out is None else _unlabelled(held_out, told)
    names = _class_names((place.parent if place.is_file() else place) / _NAMES)
    listing = _by_class(training, names, told)
    if held_out is None:
        return listing, None
    matched = _matched(_by_class(held_out, names, told), listing, held_out)
    return listing, matched if matched.samples else None


def has_labels(place: Path) -> bool:
    """Whether a picture lies in a sub-folder, which is a class then, or none lies anywhere."""
    archive, entries = _entries(_parts(place)[0])
    start = _common(archive, entries)
    sorted_in = [entry for entry in entries if _depth(entry) > start + 1]
    loose = [entry for entry in entries if _depth(entry) <= start + 1]
    return any(not _refusal(archive, entry) for entry in sorted_in) or all(_refusal(archive, entry) for entry in loose)


def _parts(place: Path) -> tuple[Path, Path | None]:
    """Return where the pictures to learn from lie, and those that are held out, if they lie apart."""
    if not place.exists():
        raise BadOption(f"{str(place)!r} does not exist. Name a folder that has a sub-folder for each class.")
    if place.is_file():
        if not zipfile.is_zipfile(place):
            raise BadOption(
                f"{str(place)!r} is no folder and no ZIP file. Name a folder with a sub-folder for each class."
            )
        return place, None
    training = _part(place, _TRAINING)
    if training is None:
        return place, None
    held_out = _part(place, _HELD_OUT)
    if training.is_dir():
        folders = {each.name for each in place.iterdir() if each.is_dir() and not each.name.startswith(".")}
        has_classes = any(each.is_dir() and not each.name.startswith(".") for each in training.iterdir())
        # Among buses and cars, "train" is a class.
        if not has_classes and (held_out is None or folders - {*_TRAINING, *_HELD_OUT}):
            return place, None
    return training, held_out


def _entries(place: Path, told: Told = lambda _done, _of: None) -> tuple[Archive, list[Entry]]:
    archive, found = Archive(place), []
    try:
        for entry in archive.entries():
            found.append(entry)
            told(len(found), 0)
    except (OSError, zipfile.BadZipFile) as error:
        raise BadOption(f"{str(place)!r} cannot be read ({error}). Copy it again.") from error
    return archive, found


def _by_class(place: Path, names: dict[str, str] | None, told: Told) -> Listing:
    """Return the pictures of one folder or ZIP file whose sub-folders are classes; ``names`` orders and names them."""
    archive, entries = _entries(place, told)
    start = _common(archive, entries)
    by_class: dict[str, list[Entry]] = {}
    left_out: list[tuple[str, str]] = []
    for entry, why in _judged(archive, entries, told):
        if why:
            left_out.append((entry.name, why))
        elif _depth(entry) <= start + 1:
            left_out.append((entry.name, "it lies in no sub-folder, so it is of no class"))
        else:
            by_class.setdefault(PurePosixPath(entry.name).parts[start], []).append(entry)
    folders = sorted(by_class)
    if names and set(folders) <= names.keys():
        folders = [folder for folder in names if folder in by_class]
    classes = tuple(f"{names[folder]}, {folder}" if names and folder in names else folder for folder in folders)
    samples = tuple(
        Sample(entry.name, label, entry.size) for label, folder in enumerate(folders) for entry in by_class[folder]
    )
    return Listing(archive, tuple(map(_printable, classes)), samples, tuple(left_out))


def _unlabelled(place: Path, told: Told) -> Listing:
    archive, entries = _entries(place, told)
    refusals = list(_judged(archive, entries, told))
    samples = tuple(Sample(entry.name, 0, entry.size) for entry, why in refusals if not why)
    return Listing(archive, (), samples, tuple((entry.name, why) for entry, why in refusals if why))


def _matched(told: Listing, listing: Listing, place: Path) -> Listing:
    """Return held-out pictures with the numbers that the training pictures' classes have."""
    numbers = {name: number for number, name in enumerate(listing.classes)}
    if strange := [name for name in told.classes if name not in numbers]:
        raise BadOption(
            f"{str(place)!r} has classes that are not among those to learn: {', '.join(strange[:3])}. Remove them."
        )
    samples = tuple(replace(each, label=numbers[told.classes[each.label]]) for each in told.samples)
    return Listing(told.archive, listing.classes, samples, told.left_out)


def _part(folder: Path, names: Iterable[str]) -> Path | None:
    for name in names:
        for path in (folder / name, folder / f"{name}.zip"):
            if path.is_dir() or (path.is_file() and zipfile.is_zipfile(path)):
                return path
    return None


def _class_names(path: Path) -> dict[str, str] | None:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    pairs = [line.split("\t", 1) for line in lines if line.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        return None
    return {folder.strip(): name.strip() for folder, name in pairs}


def _common(archive: Archive, entries: Sequence[Entry]) -> int:
    """Return 1 if a ZIP file has all its pictures in sub-folders of one folder, else 0."""
    if not archive.is_zip or not entries:
        return 0
    top, _ = Counter(PurePosixPath(entry.name).parts[0] for entry in entries).most_common(1)[0]
    others = [entry for entry in entries if _depth(entry) <= 2 or PurePosixPath(entry.name).parts[0] != top]
    return int(len(others) < len(entries) and all(_refusal(archive, entry) for entry in others))


def _depth(entry: Entry) -> int:
    return len(PurePosixPath(entry.name).parts)


def _judged(archive: Archive, entries: Sequence[Entry], told: Told) -> Iterator[tuple[Entry, str]]:
    """Yield each file with why it is of no use, if it is of none."""
    for done, entry in enumerate(entries, 1):
        yield entry, _refusal(archive, entry)
        told(done, len(entries))


def _refusal(archive: Archive, entry: Entry) -> str:
    if entry.why:
        return entry.why
    if not entry.size:
        return "the file is empty"
    if entry.size > _LARGEST_BYTES:
        return f"the file is larger than {_LARGEST_BYTES >> 20} MiB"
    try:
        head = archive.read(entry.name, _HEAD_BYTES)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return "" if sniff.picture_format(head) else f"not a picture: {sniff.describe(head)}"


def _printable(name: str) -> str:
    """Return a class's name as JSON can hold it: a folder's may be of bytes that are no text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

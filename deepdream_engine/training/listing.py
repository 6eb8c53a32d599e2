"""Which pictures there are to learn from: a :class:`Listing` of names and classes, of a folder or of a ZIP file.

Sub-folders are classes. A folder with ``train`` and ``val`` (folders or ``.zip``) has its held-out pictures apart. A
``classes.txt`` beside them gives the classes their order and their names: ``FOLDER<tab>NAME`` on each line.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import sniff

_HEAD_BYTES = 1024
_TRAINING, _HELD_OUT = ("train",), ("val", "test", "valid", "validation")
_NAMES = "classes.txt"


@dataclass(frozen=True)
class Sample:
    """One picture: its name below the listing's root, the number of its class, and its size in bytes."""

    name: str
    label: int
    size: int


@dataclass(frozen=True)
class Archive:
    """The files of a ZIP file, or of a folder; safe to share between threads and to send to other processes."""

    root: Path
    _open: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        return Archive, (self.root,)

    @property
    def is_zip(self) -> bool:
        """Whether the root is a file."""
        return self.root.is_file()

    def entries(self) -> Iterator[tuple[str, int]]:
        """Yield the name and size of every file, hidden ones left out."""
        if self.is_zip:
            for info in self._zip().infolist():
                if not info.is_dir() and not _is_hidden(info.filename):
                    yield info.filename, info.file_size
            return
        for parent, folders, files in os.walk(self.root):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            for file in sorted(files):
                path = Path(parent, file)
                name = path.relative_to(self.root).as_posix()
                if not _is_hidden(name) and path.is_file():
                    yield name, path.stat().st_size

    def read(self, name: str, size: int = -1) -> bytes:
        """Return the first ``size`` bytes of a file, or all."""
        if self.is_zip:
            with self._zip().open(name) as file:
                return file.read(size)
        with (self.root / name).open("rb") as opened:
            return opened.read(size)

    def _zip(self) -> zipfile.ZipFile:
        # Of each thread and each process its own: they would move each other's place in the file.
        if getattr(self._open, "owner", None) != os.getpid():
            self._open.zip, self._open.owner = zipfile.ZipFile(self.root), os.getpid()
        opened: zipfile.ZipFile = self._open.zip
        return opened


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


def list_pictures(place: Path) -> tuple[Listing, Listing | None]:
    """Return the pictures to learn from, and those that are held out, if they lie apart. Raises ``BadOption``."""
    if not place.exists():
        raise BadOption(f"{str(place)!r} does not exist. Name a folder that has a sub-folder for each class.")
    if place.is_file() and not zipfile.is_zipfile(place):
        raise BadOption(f"{str(place)!r} is no folder and no ZIP file. Name a folder with a sub-folder for each class.")
    training = place if place.is_file() else _part(place, _TRAINING)
    beside = place.parent if place.is_file() else place
    held_out = _part(place, _HELD_OUT) if training is not None and place.is_dir() else None
    names = _class_names(beside / _NAMES)
    listing = list_classes(training or place, names)
    if held_out is None:
        return listing, None
    told = _matched(list_classes(held_out, names), listing, held_out)
    return listing, told if told.samples else None


def list_classes(place: Path, names: dict[str, str] | None = None) -> Listing:
    """Return the pictures of one folder or ZIP file whose sub-folders are classes; ``names`` orders and names them."""
    archive = Archive(place)
    try:
        entries = list(archive.entries())
    except (OSError, zipfile.BadZipFile) as error:
        raise BadOption(f"{str(place)!r} cannot be read ({error}). Copy it again.") from error
    start = _common(entries) if archive.is_zip else 0
    by_class: dict[str, list[tuple[str, int]]] = {}
    left_out: list[tuple[str, str]] = []
    for name, size in entries:
        parts = PurePosixPath(name).parts
        if len(parts) <= start + 1:
            left_out.append((name, "it lies in no sub-folder, so it is of no class"))
        elif why := _refusal(archive, name, size):
            left_out.append((name, why))
        else:
            by_class.setdefault(parts[start], []).append((name, size))
    folders = sorted(by_class)
    if names and set(folders) <= names.keys():
        folders = [folder for folder in names if folder in by_class]
    classes = tuple(f"{names[folder]}, {folder}" if names and folder in names else folder for folder in folders)
    samples = tuple(
        Sample(name, label, size) for label, folder in enumerate(folders) for name, size in by_class[folder]
    )
    return Listing(archive, classes, samples, tuple(left_out))


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


def _common(entries: Iterable[tuple[str, int]]) -> int:
    """Return 1 if a ZIP file has all its classes in one folder, else 0."""
    parts = [PurePosixPath(name).parts for name, _ in entries]
    return int(len({each[0] for each in parts}) == 1 and all(len(each) > 2 for each in parts))


def _refusal(archive: Archive, name: str, size: int) -> str:
    if not size:
        return "the file is empty"
    try:
        head = archive.read(name, _HEAD_BYTES)
    except (OSError, zipfile.BadZipFile) as error:
        return f"it cannot be read ({error})"
    return "" if sniff.picture_format(head) else f"not a picture: {sniff.describe(head)}"


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)

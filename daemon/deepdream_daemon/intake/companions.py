"""Companions: pictures beside a photo that belong to its dream, such as ``photo.guide.jpg`` and ``photo.mask.png``.

A companion has the photo's name up to its suffix, then what it is, then any suffix of a picture; one companion thus
serves ``photo.jpg`` and ``photo.tif`` alike. What it is may be written ``guide``, ``Guide`` or ``GUIDE``, and the
suffix in small or capital letters: each is asked for by its name, so there are no more spellings. A file of such a
name, in whichever letters, is never taken for a photo itself. Like the side file, companions are part of the photo's
fingerprint, so the photo settles until they are whole, and again when they change; what a recipe uses of them is part
of the job's key.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepdream_engine.errors import BadOption

NAMES = ("guide", "mask")
"""What ``photo.NAME.jpg`` may be so as not to be a photo."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_SPELLINGS = (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES))


def _endings(name: str) -> tuple[str, ...]:
    """Return what the names of the companions ``name`` may have after the photo's stem, the usual first."""
    spellings = dict.fromkeys((name, name.capitalize(), name.upper()))
    return tuple(f".{spelling}{suffix}" for spelling in spellings for suffix in _SPELLINGS)


_ENDINGS = tuple(ending for name in NAMES for ending in _endings(name))
_COMPANION = re.compile(rf"(?P<stem>.+)\.(?P<name>(?i:{'|'.join(NAMES)}))\.(?!toml$)[^.]+", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A companion as it was read; ``data`` is empty if only its hash was wanted."""

    path: Path
    sha256: str
    data: bytes = b""

    def to_dict(self) -> dict[str, str]:
        """Return what a dream tells of it."""
        return {"name": self.path.name, "sha256": self.sha256}


class BadCompanion(BadOption):
    """A companion is missing or cannot be used; with it put right, the photo is taken by itself."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = f"{advice}; the picture is then taken by itself."


class MissingCompanion(BadCompanion):
    """A companion that the recipe needs is not there yet; the photo waits for it."""

    def __init__(self, photo: Path, name: str, recipe: str) -> None:
        example = f"{photo.stem}.{name}.jpg"
        others = f"or one with another of the suffixes {', '.join(SUFFIXES)}"
        super().__init__(
            f"{photo}: the recipe {recipe!r} needs a {name}, a second picture, and there is none: put "
            f"{example!r} beside it ({others}).",
            f"Put {example!r} beside the picture ({others})",
        )
        self.short = f"needs {example}"


def parse(name: str) -> tuple[str, str] | None:
    """Return whose companion a file of this name is, as the photo's name without its suffix, and what it is."""
    found = _COMPANION.fullmatch(name)
    return None if found is None else (found["stem"], found["name"].lower())


def explained(name: str) -> str | None:
    """Return why a file of this name is no photo, or ``None`` if it may be one."""
    found = parse(name)
    if found is None:
        return None
    stem, kind = found
    reason = f"it is the {kind} of {f'{stem}.*'!r} beside it, not a photo itself"
    if name.endswith(_ENDINGS):
        return reason
    if name.lower().endswith(SUFFIXES):
        usual = f"{stem}.{kind}{os.path.splitext(name)[1].lower()}"  # noqa: PTH122  (text)
        return f"{reason}; but with these capital letters it is not looked for: call it {usual!r}"
    return f"{reason}; but only {', '.join(SUFFIXES)} are looked for"


def photos_of(path: Path) -> list[Path]:
    """Return the photos that the companion at ``path`` belongs to, those with usual suffixes: a scan finds others."""
    found = parse(path.name)
    if found is None:
        return []
    beside = (path.with_name(found[0] + suffix) for suffix in ("", *_SPELLINGS))
    return [photo for photo in beside if os.path.lexists(photo)]


def by_photo(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the endings of the companions among ``names`` by the photo's name without its suffix, as in
    :func:`stamped`.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        if name.endswith(_ENDINGS) and (parsed := parse(name)) is not None:
            found.setdefault(parsed[0], []).append(name[len(parsed[0]) :])
    return {stem: [ending.lower() for ending in sorted(endings, key=_ENDINGS.index)] for stem, endings in found.items()}


def stamped(photo: Path, among: Container[str] | None = None) -> list[tuple[str, os.stat_result]]:
    """Return the endings of the companions that lie beside ``photo``, in a fixed order and in small letters, and what
    each looks like.

    ``among`` are the names of all companions in its directory, if they are known: asking the disk for each is slower.
    """
    stem = os.path.splitext(photo.name)[0]  # noqa: PTH122  (Path is several times slower, and this runs for every file)
    base = os.path.join(photo.parent, stem)  # noqa: PTH118
    found: dict[tuple[str, int], os.stat_result] = {}  # some disks find one file by several spellings
    for ending in _ENDINGS:
        if stem + ending in among if among is not None else os.access(base + ending, os.F_OK):
            try:
                status = os.lstat(base + ending)
            except FileNotFoundError:
                continue
            found.setdefault((ending.lower(), status.st_ino), status)
    return [(ending, status) for (ending, _), status in found.items()]


def spelt(photo: Path, ending: str, is_there: Callable[[str], object]) -> str:
    """Return the name of the companion of ``photo`` with this ``ending``, in small letters, in the spelling that
    ``is_there``; the usual one if none is."""
    stem = os.path.splitext(photo.name)[0]  # noqa: PTH122  (as in stamped)
    names = (stem + each for each in _ENDINGS if each.lower() == ending)
    return next(filter(is_there, names), stem + ending)


def locate(
    photo: Path, wanted: Mapping[str, bool], recipe: str, among: Container[str] | None = None
) -> dict[str, Path]:
    """Return where the ``wanted`` companions of ``photo`` are; their value tells whether ``recipe`` needs them.
    ``among`` as in :func:`stamped`: only those of :data:`NAMES` are known by it.

    Raises :class:`MissingCompanion` for one that is needed, and :class:`BadCompanion` if there are two.
    """
    places: dict[str, Path] = {}
    stem = photo.stem
    for name, is_needed in wanted.items():
        found: dict[tuple[int, int], Path] = {}  # by inode: some disks find one file by several spellings
        for ending in _endings(name):
            beside = stem + ending
            if among is not None and name in NAMES and beside not in among:
                continue
            path = photo.with_name(beside)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    continue  # a long name has no room for the companion's ending, so there is none
                raise
            found.setdefault((status.st_dev, status.st_ino), path)
        if len(found) > 1:
            both = " and ".join(repr(path.name) for path in found.values())
            raise BadCompanion(f"{photo}: it has more than one {name}: {both}.", "Keep one of them")
        if is_needed and not found:
            raise MissingCompanion(photo, name, recipe)
        places.update((name, path) for path in found.values())
    return places


def read(places: Mapping[str, Path], limit_bytes: int, *, keep: bool, root: Path | None = None) -> dict[str, Companion]:
    """Read the companions at ``places``, with their bytes if ``keep``. Below ``root`` no link is followed.

    Raises :class:`BadCompanion` for what cannot be read, and ``sources.Changed`` when one changes meanwhile.
    """
    from deepdream_daemon.intake import sources

    found = {}
    for name, path in places.items():
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise BadCompanion(f"{path}: a {name} is a regular file, and no link.", f"Put a copy at {str(path)!r}")
            sha256, data = sources.read_file(path, limit_bytes, keep=keep, root=root)
        except PermissionError as error:
            raise BadCompanion(f"{path}: {error.strerror}.", f"Make {str(path)!r} readable") from error
        except FileNotFoundError as error:
            raise sources.Changed(f"{path} was removed meanwhile") from error
        found[name] = Companion(path=path, sha256=sha256, data=data)
    return found

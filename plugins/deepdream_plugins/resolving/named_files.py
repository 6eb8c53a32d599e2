"""Files that recipes name: read once, and known by their content, until they are replaced."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption, BadPicture

if TYPE_CHECKING:
    from deepdream_engine.pictures import Picture

_Identity = tuple[str, int, int]


def identity(path: Path, place: str) -> _Identity:
    """Tell a file from another that takes its place: path, size and time of the last change."""
    try:
        status = path.stat()
    except OSError as error:
        raise BadOption(f"{place}: {str(path)!r} cannot be read ({error.strerror}). Put it back.") from error
    return str(path), status.st_size, status.st_mtime_ns


def picture(path: str, place: str) -> Picture:
    """Return the decoded file; one that cannot be read or is no picture is a :class:`BadOption` at ``place``."""
    try:
        return _decoded(identity(Path(path), place))
    except BadPicture as error:
        raise BadOption(f"{place}: {path!r}: {error}") from error
    except OSError as error:
        raise BadOption(f"{place}: {path!r} cannot be read ({error.strerror}). Name another file.") from error


def sha256(path: str, place: str) -> str:
    """Return the digest of the file's content in hexadecimal."""
    try:
        return _digest(identity(Path(path), place))
    except OSError as error:
        raise BadOption(f"{place}: {path!r} cannot be read ({error.strerror}). Name another file.") from error


@lru_cache(maxsize=8)
def _decoded(file: _Identity) -> Picture:
    from deepdream_engine.pictures import decode

    return decode(Path(file[0]).read_bytes())


@lru_cache(maxsize=256)
def _digest(file: _Identity) -> str:
    with Path(file[0]).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

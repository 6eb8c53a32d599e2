"""A contact sheet of a film that was asked for on the command line, as a picture of its own."""

from __future__ import annotations

import io
from pathlib import Path

from deepdream_daemon.films.contact import contact_sheet
from deepdream_daemon.oneshot.target import put
from deepdream_engine.errors import BadOption

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def sheet_format(path: Path) -> str:
    """Return Pillow's name of the format that a contact sheet's name asks for, or raise :class:`BadOption`."""
    if path.suffix.lower() not in _FORMATS:
        raise BadOption(f"--contact-sheet {str(path)!r}: name a picture that ends with {', '.join(_FORMATS)}.")
    return _FORMATS[path.suffix.lower()]


def put_sheet(film: Path, path: Path) -> Path:
    """Publish a contact sheet of ``film`` as ``path``, or under the next free name; return where."""
    buffer = io.BytesIO()
    contact_sheet(film).save(buffer, format=sheet_format(path), quality=92)
    return put(path.parent, path.name, buffer.getvalue())

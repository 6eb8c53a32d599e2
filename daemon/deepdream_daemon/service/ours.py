"""The files that tell the operating system of a service. Replaced or removed are only those that this program has
written and nobody has changed since: a comment says who wrote it, and the checksum of the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Literal

from deepdream_daemon.explaining.advice import shell_path
from deepdream_engine.errors import DeepDreamError

State = Literal["absent", "ours", "changed", "foreign"]

_MARK = "Written by 'deepdream service install'. Checksum of the rest: "
_LINE = re.compile(rf"^.*{re.escape(_MARK)}([0-9a-f]{{64}}).*\n", re.MULTILINE)


def mark(text: str) -> str:
    """Return the comment that belongs on a line of its own in a file of which ``text`` is the rest."""
    return f"{_MARK}{hashlib.sha256(text.encode()).hexdigest()}"


def state_of(path: Path) -> State:
    """Tell whose the file at ``path`` is."""
    if not os.path.lexists(path):
        return "absent"
    if path.is_symlink() or not path.is_file():
        return "foreign"
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    found = _LINE.search(text)
    if found is None:
        return "foreign"
    rest = text[: found.start()] + text[found.end() :]
    is_same = hashlib.sha256(rest.encode(errors="surrogateescape")).hexdigest() == found[1]
    return "ours" if is_same else "changed"


def check_ours(path: Path) -> None:
    """Raise :class:`DeepDreamError` unless the file at ``path`` may be replaced or removed."""
    state = state_of(path)
    advice = f"It was left as it is. If it is not needed, remove it: rm {shell_path(path)}"
    if state == "foreign":
        raise DeepDreamError(f"{str(path)!r} was not written by 'deepdream service install'. {advice}")
    if state == "changed":
        raise DeepDreamError(f"{str(path)!r} was changed by hand since 'deepdream service install' wrote it. {advice}")


def write(path: Path, text: str) -> None:
    """Put ``text`` in place of the file at ``path``, if there is none or :func:`check_ours` lets it."""
    check_ours(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temp.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise


def remove(path: Path) -> None:
    """Remove the file at ``path``, if there is one and :func:`check_ours` lets it."""
    check_ours(path)
    path.unlink(missing_ok=True)

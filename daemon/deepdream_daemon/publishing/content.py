"""Which file it is, by what is in it."""

from __future__ import annotations

import hashlib
import os

from deepdream_daemon import beneath


def inode_of(name: str, at: int, sha256: str) -> int | None:
    """Return the inode of the file ``name`` in the directory ``at`` if it is there with just this content. An
    ``OSError`` says that it cannot be read at the moment, which is no answer: taken for one, it would have the dream
    published twice.
    """
    try:
        with os.fdopen(beneath.open_regular(name, at), "rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
            return os.fstat(file.fileno()).st_ino if is_whole else None
    except (FileNotFoundError, beneath.NotRegular):
        return None

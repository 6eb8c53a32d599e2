"""What kind of file it is, as far as that matters before it is decoded: may it be a picture, is it looked at at all."""

from __future__ import annotations

import os
from pathlib import Path

from deepdream_daemon import beneath
from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.intake import companions, moving

_SUFFIXES = frozenset({*companions.SUFFIXES, ".jpe", ".jfif"})
_HEAD_BYTES, _TAIL_BYTES = 512, 64
_TRASH = (".Trash", ".Trash-*", ".Trashes")
"""Where desktops keep what was thrown away, if a disk is watched as a whole."""


def ignored_in(settings: Settings, folder: FolderSettings) -> tuple[str, ...]:
    """Return the patterns of names that are not looked at in ``folder``."""
    return (*settings.ignore, *folder.ignore, *(_TRASH if folder.source == "trash" else ()))


def may_be_picture(path: Path, root: Path) -> bool:
    """Tell whether the file at ``path`` below ``root`` is a picture or clip, whole or not: it begins or ends like one,
    or is called so, since a damaged picture is no other kind of file.
    """
    if path.suffix.lower() in _SUFFIXES:
        return True
    from deepdream_engine.pictures import sniff

    with beneath.opened(root, path.parent) as at, os.fdopen(beneath.open_regular(path.name, at), "rb") as file:
        begin = file.read(_HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
        file.seek(max(len(begin), size - _TAIL_BYTES))
        is_picture = sniff.picture_format(begin + file.read(_TAIL_BYTES)) is not None
        return is_picture or moving.container_of(begin) is not None


def moves(path: Path, root: Path) -> str | None:
    """Return the container of the clip or animation at ``path`` below ``root``; ``None`` for any other file."""
    with beneath.opened(root, path.parent) as at, os.fdopen(beneath.open_regular(path.name, at), "rb") as file:
        return moving.moving(file)

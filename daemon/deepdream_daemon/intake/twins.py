"""Twins: pictures of a watched folder with the same content, which the same recipe would make the same dream of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.selection import job_key
from deepdream_daemon.journal.journal import Journal

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


def twin_of(
    journal: Journal,
    folder: FolderSettings,
    path: Path,
    *,
    sha256: str,
    recipe: ResolvedRecipe,
    seed: int,
    used: Mapping[str, Companion],
) -> str | None:
    """Return why ``path`` need not be dreamt: which picture it is the same as, whose dream is there. Only for folders
    that are to be de-duplicated.
    """
    if not folder.deduplicate:
        return None
    for twin in journal.twins(sha256, recipe.name, folder.input):
        is_same = twin.source != path and twin.key == job_key(sha256, twin.source, recipe, seed, used)
        if is_same and os.path.lexists(twin.output):
            return f"it is the same picture as {os.fspath(twin.source)!r}, whose dream is {os.fspath(twin.output)!r}"
    return None

"""Why a file is, or is not, a dream yet: a reason for every path, also for those that the journal never
saw.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.explaining.advice import back_again
from deepdream_daemon.explaining.elsewhere import outside
from deepdream_daemon.explaining.files import of_file
from deepdream_daemon.explaining.folders import watched_folder
from deepdream_daemon.explaining.gone import not_there
from deepdream_daemon.explaining.jobs import Explanation
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.kinds import ignored_in
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.scan import IS_FOLDER, classify
from deepdream_daemon.intake.selection import folder_of
from deepdream_daemon.journal.journal import Journal

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook


def explain(path: Path, settings: Settings, book: RecipeBook, journal: Journal) -> Explanation:
    """Say what became of the file at ``path``, or what will, and what can be done about it."""
    path = _absolute(path, settings)
    folder = folder_of(settings.folders, path) or next((f for f in settings.folders if f.input == path), None)
    if folder is None:
        return outside(path, settings, book, journal)
    if not Roots([folder.input], journal.noted_places()).is_there(folder.input):
        return Explanation(
            state="missing",
            reason=f"the input folder {os.fspath(folder.input)!r} is away; nothing in it counts as deleted",
            history=journal.history(path),
            advice=back_again(folder.input),
        )
    if path == folder.input:
        return watched_folder(path, folder, settings, journal)
    try:
        refused = classify(path, folder.input, ignored_in(settings, folder))
        fingerprint = "" if refused else sources.fingerprint(path)
    except (OSError, sources.Changed) as error:
        return not_there(path, error, journal)
    if refused == IS_FOLDER:
        return watched_folder(path, folder, settings, journal)
    if refused:
        return Explanation(state="ignored", reason=refused, advice=_advice_for(refused))
    return of_file(path, fingerprint, folder=folder, settings=settings, book=book, journal=journal)


def _advice_for(reason: str) -> str | None:
    if "pattern" in reason:
        return "Rename the file, or change ignore in the configuration."
    if "symbolic link" in reason:
        return "Copy the picture itself into the folder."
    if "not a photo itself" in reason:
        return "To have it dreamt for itself, rename it."
    return None


def _absolute(path: Path, settings: Settings) -> Path:
    """The path as the daemon knows it: links in the folders above are resolved when that leads into a
    watched one.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  (Path.resolve would follow the file itself)
    if folder_of(settings.folders, path) is not None:
        return path
    if path.is_dir() and not path.is_symlink():
        return path.resolve()
    return path.parent.resolve() / path.name

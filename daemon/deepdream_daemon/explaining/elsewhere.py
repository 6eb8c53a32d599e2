"""What a file is that lies in no watched folder: a dream, a copy, a picture that was moved, or none of ours."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.explaining.files import chooser
from deepdream_daemon.explaining.folders import other_folder, watched
from deepdream_daemon.explaining.gone import no_such_file
from deepdream_daemon.explaining.jobs import Explanation, of_job, recipe_of
from deepdream_daemon.intake.selection import folder_of
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.publishing.preview import is_ours
from deepdream_daemon.publishing.publish import TEMP_PREFIX

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook


def outside(path: Path, settings: Settings, book: RecipeBook, journal: Journal) -> Explanation:
    """Explain what is at ``path``."""
    job = journal.of_output(path)
    if job is not None:
        folder = folder_of(settings.folders, job.source)
        by = "" if folder is None else chooser(job.recipe, job.source, folder, book)
        source = repr(os.fspath(job.source))
        reason = f"it is the dream of {source}, made with {recipe_of(job, by)}"
        if is_ours(journal, job.id, path):
            reason = f"it is a preview of the dream of {source}, which is being made and takes its place"
        if job.recipe == COPIED:
            reason = f"it is a copy of {source}, which was {recipe_of(job)}"
        if not os.path.lexists(path):
            reason += "; it is not there any more"
        return Explanation(
            state="output",
            reason=reason,
            output=path,
            history=job.history,
            deliveries=job.deliveries,
        )
    if journal.is_lone_output(path):
        reason = "it is a dream of this daemon; the journal has forgotten of which picture, as that is long gone"
        return Explanation(state="output", reason=reason, output=path)
    moved = journal.moved_to(path)
    if moved is not None:
        reason = f"it is the picture {os.fspath(moved.source)!r}, moved here when its dream was done"
        return Explanation(state="disposed", reason=reason, output=moved.output, history=moved.history)
    jobs = journal.of_path(path)
    if jobs:
        return _of_removed_folder(jobs[0], journal.history(path))
    if path.name.startswith(TEMP_PREFIX):
        return Explanation(state="ignored", reason="it is a temporary file of this daemon")
    if not os.path.lexists(path):
        found = no_such_file(path)
        return replace(found, reason=f"{found.reason}. It would be in no watched folder. {watched(settings)}")
    if path.is_dir():
        return other_folder(path, settings)
    place = next((f for f in settings.folders if path.is_relative_to(f.output)), None)
    if place is not None:
        reason = "it is in an output folder, but no dream of this daemon"
    else:
        reason = f"it is in no watched folder. {watched(settings)}"
    return Explanation(
        state="outside",
        reason=reason,
        advice=f"Copy it into a watched folder, or dream it once: deepdream dream {shell_path(path)}",
    )


def _of_removed_folder(job: JobRecord, history: tuple[tuple[float, str], ...]) -> Explanation:
    found = of_job(job, history)
    removed = f"its folder {os.fspath(job.folder)!r} is not watched any more"
    if job.state not in {"queued", "waiting", "running", "publishing"}:
        return replace(found, reason=f"{found.reason}; {removed}")
    return replace(
        found,
        reason=f"it stays {job.state}: {removed}",
        advice="Add the folder to the configuration again, or dream the picture once: "
        f"deepdream dream {shell_path(job.source)}",
    )

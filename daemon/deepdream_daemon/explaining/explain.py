"""Why a file is, or is not, a dream yet: a reason for every path, also for those that the journal never
saw.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.absent import ADVICE, absence
from deepdream_daemon.explaining.advice import retry_command, shell_path
from deepdream_daemon.explaining.jobs import START, Explanation, named, of_job, of_unfinished, recipe_of, unplaced
from deepdream_daemon.explaining.waiting import to_be_begun, to_be_taken
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.asking import Asking
from deepdream_daemon.intake.companions import BadCompanion, MissingCompanion
from deepdream_daemon.intake.kinds import ignored_in, may_be_picture
from deepdream_daemon.intake.roots import Root
from deepdream_daemon.intake.scan import IS_FOLDER, classify
from deepdream_daemon.intake.selection import (
    choose_companions,
    choose_recipe,
    folder_of,
    output_directory,
    recipe_of_folder,
)
from deepdream_daemon.intake.unreadable import readable_again
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.holds import Hold
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.publishing.publish import TEMP_PREFIX
from deepdream_daemon.running.lock import running_pid
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook


def explain(path: Path, settings: Settings, book: RecipeBook, journal: Journal) -> Explanation:
    """Say what became of the file at ``path``, or what will, and what can be done about it."""
    path = _absolute(path, settings)
    folder = folder_of(settings.folders, path)
    if folder is None:
        return _outside(path, settings, book, journal)
    if Root.of(folder.input) is None:
        return Explanation(
            state="missing",
            reason=f"the input folder {os.fspath(folder.input)!r} is away; nothing in it counts as deleted",
            history=journal.history(path),
            advice="Mount or create the folder; the daemon goes on by itself.",
        )
    try:
        refused = classify(path, folder.input, ignored_in(settings, folder))
        fingerprint = "" if refused else sources.fingerprint(path)
        closed = _unreadable(path) if refused == IS_FOLDER else None
    except (OSError, sources.Changed) as error:
        return _not_there(path, error, journal)
    if closed is not None:
        return Explanation(
            state="ignored", reason=f"it is a folder that cannot be looked into: {closed}", advice=readable_again(path)
        )
    if refused:
        return Explanation(state="ignored", reason=refused, advice=_advice_for_ignored(refused))
    return _of_file(path, fingerprint, folder=folder, settings=settings, book=book, journal=journal)


def _of_file(
    path: Path,
    fingerprint: str,
    *,
    folder: FolderSettings,
    settings: Settings,
    book: RecipeBook,
    journal: Journal,
) -> Explanation:
    file, jobs, history = journal.file(path), journal.of_path(path), journal.history(path)
    is_running = running_pid(settings.state) is not None
    if file is None or file.fingerprint != fingerprint:
        at_work = next((job for job in jobs if job.state in {"queued", "waiting", "running", "publishing"}), None)
        if at_work is not None and file is None:
            by = _chooser(at_work.recipe, path, folder, book)
            wait = to_be_begun(at_work, folder, journal, _held(path, folder, journal))
            return of_unfinished(at_work, history, wait, is_running=is_running, by=by)
        is_new = file is None
        found = _untaken(path, is_new=is_new, folder=folder, settings=settings, book=book, journal=journal)
        if found.reason.startswith("it will"):
            return found
        wait = to_be_taken(folder, settings, journal) if is_running else None
        if wait is not None:
            found = replace(found, reason=f"{found.reason}; {wait.reason}", advice=wait.advice or found.advice)
        return found if is_running else replace(found, advice=START)
    job = next((job for job in jobs if job.id == file.job), None)
    if job is not None:
        by = _chooser(job.recipe, path, folder, book)
        wait = to_be_begun(job, folder, journal, _held(path, folder, journal))
        disposal = journal.disposal(job.id)
        return of_unfinished(job, history, wait, is_running=is_running, by=by, disposal=disposal)
    advice = _advice_for_skipped(file.verdict, path)
    return Explanation(state="skipped", reason=file.verdict, history=history, advice=advice)


def _untaken(
    path: Path,
    *,
    is_new: bool,
    folder: FolderSettings,
    settings: Settings,
    book: RecipeBook,
    journal: Journal,
) -> Explanation:
    history, asking = journal.history(path), Asking(folder, path, book)
    before = "it was not taken yet" if is_new else "it changed since it was taken"
    try:
        if folder.copy_through and not may_be_picture(path, folder.input):
            return Explanation(
                state="new" if is_new else "changed",
                reason=f"{before}; it is no picture, so the daemon copies it when it has not changed for "
                f"{settings.settle_seconds:g} s",
                history=history,
                advice="If that is long ago, look whether the daemon runs: deepdream status",
            )
        chosen = choose_recipe(folder, path, book, asking)
        choose_companions(path, chosen, sources.limit_bytes(settings.pictures.max_megapixels), root=folder.input)
    except MissingCompanion as error:
        reason = f"it will wait for another file: with the recipe {chosen.name!r} it {error.short}"
        return Explanation(state="new", reason=reason, history=history, advice=error.advice)
    except BadOption as error:
        if reason := absence(error):
            return Explanation(state="new", reason=f"it will wait: {reason}", history=history, advice=ADVICE)
        advice = error.advice if isinstance(error, BadCompanion) else "Correct it and save the file."
        return Explanation(
            state="new", reason=f"it will fail: {unplaced(str(error), path)}", history=history, advice=advice
        )
    except (OSError, sources.Changed) as error:
        return _not_there(path, error, journal)
    recipe = named(chosen.name, asking.plugin, _chooser(chosen.name, path, folder, book))
    return Explanation(
        state="new" if is_new else "changed",
        reason=f"{before}; the daemon takes it with {recipe} when it has not changed for "
        f"{settings.settle_seconds:g} s{f'; {asking.fault}' if asking.fault else ''}",
        history=history,
        advice="If that is long ago, look whether the daemon runs: deepdream status",
    )


def _chooser(recipe: str, path: Path, folder: FolderSettings, book: RecipeBook) -> str:
    """Return in words who chose the recipe of the picture at ``path``, if no plugin did."""
    if sources.side_file(path).is_file() and recipe != recipe_of_folder(folder, path, book):
        return "which its side file names"
    if recipe != recipe_of_folder(folder, path, book):
        return ""  # of another configuration
    return "the folder's own" if recipe == folder.recipe else "after the sub-folder that it is in"


def _not_there(path: Path, error: Exception, journal: Journal) -> Explanation:
    jobs, history = journal.of_path(path), journal.history(path)
    if jobs and jobs[0].state in {"done", "vanished", "failed"}:
        disposal = journal.disposal(jobs[0].id)
        found = of_job(jobs[0], history, disposal=disposal)
        is_told = found.disposal is not None and found.disposal.state == "done"
        reason = found.reason if is_told else f"{found.reason}; the file is not there any more"
        return replace(found, reason=reason, advice=None)
    if isinstance(error, FileNotFoundError):
        return Explanation(state="missing", reason="there is no such file", history=history)
    reason = f"it cannot be looked at: {explain_error(error)}"
    advice = readable_again(_closed_folder(path)) if isinstance(error, PermissionError) else None
    return Explanation(state="missing", reason=reason, history=history, advice=advice)


def _unreadable(path: Path) -> str | None:
    """Return why the folder ``path`` cannot be looked into, if so."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return error.strerror or explain_error(error)
    return None


def _closed_folder(path: Path) -> Path:
    """Return the folder above ``path`` that cannot be entered: the highest whose contents cannot be looked at."""
    above = list(reversed(path.parents))
    for folder, inside in itertools.pairwise([*above, path]):
        try:
            os.lstat(inside)
        except PermissionError:
            return folder
        except OSError:
            break
    return path.parent


def _held(path: Path, folder: FolderSettings, journal: Journal) -> Hold | None:
    """Return what keeps a dream of ``path`` from being published, as far as the daemon has noticed."""
    places = (folder.output, output_directory(folder, path))
    found = (hold for hold in journal.holds() if hold.folder == folder.input and hold.directory in places)
    return next(found, None)


def _outside(path: Path, settings: Settings, book: RecipeBook, journal: Journal) -> Explanation:
    job = journal.of_output(path)
    if job is not None:
        folder = folder_of(settings.folders, job.source)
        by = "" if folder is None else _chooser(job.recipe, job.source, folder, book)
        source = repr(os.fspath(job.source))
        reason = f"it is the dream of {source}, made with {recipe_of(job, by)}"
        if job.recipe == COPIED:
            reason = f"it is a copy of {source}, which was {recipe_of(job)}"
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
    inputs = ", ".join(repr(os.fspath(folder.input)) for folder in settings.folders) or "none"
    place = next((f for f in settings.folders if path.is_relative_to(f.output)), None)
    if place is not None:
        reason = "it is in an output folder, but no dream of this daemon"
    elif any(path == folder.input for folder in settings.folders):
        reason = "it is a watched folder itself; ask about a file in it"
    else:
        reason = f"it is in no watched folder. Watched: {inputs}"
    return Explanation(
        state="outside",
        reason=reason,
        advice="Copy the picture into a watched folder, or dream it once: deepdream dream FILE",
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


def _advice_for_ignored(reason: str) -> str | None:
    if "pattern" in reason:
        return "Rename the file, or change ignore in the configuration."
    if "symbolic link" in reason:
        return "Copy the picture itself into the folder."
    if "not a photo itself" in reason:
        return "To have it dreamt for itself, rename it."
    return None


def _advice_for_skipped(reason: str, path: Path) -> str:
    if "is there already" in reason:  # collision = "skip"
        return f"Move the file that has its name away, or change collision; then: {retry_command(path)}"
    if "same picture" in reason or "deduplicate" in reason:
        return f"To dream it all the same, change deduplicate, or: deepdream dream {shell_path(path)}"
    if "copied" in reason:
        return f"To copy it again, move the copy away; then: {retry_command(path)}"
    return "To dream it all the same, change the picture, or its recipe with a side file beside it."


def _absolute(path: Path, settings: Settings) -> Path:
    """The path as the daemon knows it: links in the folders above are resolved when that leads into a
    watched one.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  (Path.resolve would follow the file itself)
    if folder_of(settings.folders, path) is not None:
        return path
    return path.parent.resolve() / path.name

"""Why a file in a watched folder, a picture or one to be copied, is where it is: by its job, or by what will be decided
about it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.absent import ADVICE, absence
from deepdream_daemon.explaining.advice import retry_command, shell_path
from deepdream_daemon.explaining.gone import not_there
from deepdream_daemon.explaining.jobs import START, Explanation, named, of_unfinished, unplaced
from deepdream_daemon.explaining.waiting import to_be_begun, to_be_found_out, to_be_taken
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.asking import Asking
from deepdream_daemon.intake.companions import BadCompanion, MissingCompanion
from deepdream_daemon.intake.kinds import may_be_picture
from deepdream_daemon.intake.selection import choose_companions, choose_recipe, output_directory, recipe_of_folder
from deepdream_daemon.journal.holds import Hold
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.film_shares import frames_kept
from deepdream_daemon.pipeline.filming import spool_of
from deepdream_daemon.running.lock import running_pid
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook


def of_file(
    path: Path,
    fingerprint: str,
    *,
    folder: FolderSettings,
    settings: Settings,
    book: RecipeBook,
    journal: Journal,
) -> Explanation:
    """Explain a file that looks as ``fingerprint`` says."""
    file, jobs, history = journal.file(path), journal.of_path(path), journal.history(path)
    is_running = running_pid(settings.state) is not None
    if file is None or file.fingerprint != fingerprint:
        at_work = next((job for job in jobs if job.state in {"queued", "waiting", "running", "publishing"}), None)
        if at_work is not None and file is None:
            by = chooser(at_work.recipe, path, folder, book)
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
        by = chooser(job.recipe, path, folder, book)
        wait = to_be_begun(job, folder, journal, _held(path, folder, journal))
        if job.state == "publishing":
            wait = to_be_found_out(folder, journal)
        disposal = journal.disposal(job.id)
        told = of_unfinished(job, history, wait, is_running=is_running, by=by, disposal=disposal)
        kept = frames_kept(spool_of(journal.state, job.id, job.key)) if job.state in {"queued", "running"} else 0
        return replace(told, reason=f"{told.reason}; {kept} frames of its film are dreamt already") if kept else told
    advice = _advice_for(file.verdict, path)
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
        return not_there(path, error, journal)
    recipe = named(chosen.name, asking.plugin, chooser(chosen.name, path, folder, book))
    return Explanation(
        state="new" if is_new else "changed",
        reason=f"{before}; the daemon takes it with {recipe} when it has not changed for "
        f"{settings.settle_seconds:g} s{f'; {asking.fault}' if asking.fault else ''}",
        history=history,
        advice="If that is long ago, look whether the daemon runs: deepdream status",
    )


def chooser(recipe: str, path: Path, folder: FolderSettings, book: RecipeBook) -> str:
    """Return in words who chose the recipe of the picture at ``path``, if no plugin did."""
    if sources.side_file(path).is_file() and recipe != recipe_of_folder(folder, path, book):
        return "which its side file names"
    if recipe != recipe_of_folder(folder, path, book):
        return ""  # of another configuration
    return "the folder's own" if recipe == folder.recipe else "after the sub-folder that it is in"


def _held(path: Path, folder: FolderSettings, journal: Journal) -> Hold | None:
    """Return what keeps a dream of ``path`` from being published, as far as the daemon has noticed."""
    places = (folder.output, output_directory(folder, path))
    found = (hold for hold in journal.holds() if hold.folder == folder.input and hold.directory in places)
    return next(found, None)


def _advice_for(reason: str, path: Path) -> str:
    if "is there already" in reason:  # collision = "skip"
        return f"Move the file that has its name away, or change collision; then: {retry_command(path)}"
    if "same picture" in reason or "deduplicate" in reason:
        return f"To dream it all the same, change deduplicate, or: deepdream dream {shell_path(path)}"
    if "copied" in reason:
        return f"To copy it again, move the copy away; then: {retry_command(path)}"
    return "To dream it all the same, change the picture, or its recipe with a side file beside it."

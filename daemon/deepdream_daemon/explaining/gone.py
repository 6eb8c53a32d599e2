"""Why there is nothing to be said of a file but what became of it before: it is not there, or cannot be looked at."""

from __future__ import annotations

import difflib
import itertools
import os
from dataclasses import replace
from pathlib import Path

from deepdream_daemon.explaining.jobs import Explanation, of_job
from deepdream_daemon.intake.unreadable import readable_again
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error


def not_there(path: Path, error: Exception, journal: Journal) -> Explanation:
    """Explain a file that ``error`` was met at."""
    jobs, history = journal.of_path(path), journal.history(path)
    if jobs and jobs[0].state in {"done", "vanished", "failed"}:
        disposal = journal.disposal(jobs[0].id)
        found = of_job(jobs[0], history, disposal=disposal)
        is_told = found.disposal is not None and found.disposal.state == "done"
        reason = found.reason if is_told else f"{found.reason}; the file is not there any more"
        return replace(found, reason=reason, advice=None)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return replace(no_such_file(path), history=history)
    reason = f"it cannot be looked at: {explain_error(error)}"
    advice = readable_again(_closed_folder(path)) if isinstance(error, PermissionError) else None
    return Explanation(state="missing", reason=reason, history=history, advice=advice)


def no_such_file(path: Path) -> Explanation:
    """Explain a path at which nothing is: where it ends, and what may have been meant."""
    there = next(folder for folder in path.parents if os.path.lexists(folder))
    lacks = path.relative_to(there).parts[0]
    reason = "there is no such file"
    if there != path.parent or not there.is_dir():
        lack = f"there is no {lacks!r} in {os.fspath(there)!r}"
        reason += f": {lack if there.is_dir() else f'{os.fspath(there)!r} is no folder'}"
    try:
        close = difflib.get_close_matches(lacks, os.listdir(there), n=1)  # noqa: PTH208  (names, not paths)
    except OSError:
        close = []
    advice = f"Is {os.fspath(there / close[0])!r} meant?" if close else "Look at how its name is written."
    return Explanation(state="missing", reason=reason, advice=advice)


def unreadable(path: Path) -> str | None:
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

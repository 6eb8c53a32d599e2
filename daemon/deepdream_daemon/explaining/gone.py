"""Why there is nothing to be said of a file but what became of it before: it is not there, or cannot be looked at."""

from __future__ import annotations

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
    if isinstance(error, FileNotFoundError):
        return Explanation(state="missing", reason="there is no such file", history=history)
    reason = f"it cannot be looked at: {explain_error(error)}"
    advice = readable_again(_closed_folder(path)) if isinstance(error, PermissionError) else None
    return Explanation(state="missing", reason=reason, history=history, advice=advice)


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

"""Telling plugins what happens to jobs: the events of ``deepdream_plugins.events``, made from what the daemon knows.

Nobody waits for who listens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import JobRecord
from deepdream_daemon.pipeline.task import Task
from deepdream_plugins.events import JobFailed, JobFinished, JobProgress, JobStarted

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

PROGRESS_SECONDS = 1.0


class Telling:
    """Tells ``host`` of jobs. May be used by any thread."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    def started(self, task: Task) -> None:
        """Its picture is being dreamt."""
        task.told_at = time.monotonic()
        self._host.tell(JobStarted(**facts_of(task.claim), attempt=task.claim.attempts + 1))

    def progress(self, task: Task) -> None:
        """Some more of its dream is done; told of once a second at most."""
        now = time.monotonic()
        if now - task.told_at >= PROGRESS_SECONDS:
            task.told_at = now
            self._host.tell(JobProgress(**facts_of(task.claim), fraction=min(1.0, max(0.0, task.fraction))))

    def finished(self, claim: Claim | JobRecord, output: Path, seconds: float) -> None:
        """Its dream is published, and in the journal."""
        self._host.tell(JobFinished(**facts_of(claim), output=readable_path(output), seconds=round(seconds, 3)))

    def failed(self, claim: Claim, error: str, advice: str, *, final: bool) -> None:
        """There is no dream, and the journal says why."""
        self._host.tell(JobFailed(**facts_of(claim), error=error, advice=advice, final=final))


def facts_of(claim: Claim | JobRecord) -> Mapping[str, Any]:
    """Return what all events of a job say."""
    return job_facts(claim.id, claim.source, claim.folder, claim.recipe)


def job_facts(job: int, source: Path, folder: Path, recipe: str) -> Mapping[str, Any]:
    """Return the same for a job that is not claimed."""
    return {"job": job, "path": readable_path(source), "folder": readable_path(folder), "recipe": recipe}


def readable_path(path: Path) -> str:
    r"""Return ``path`` as text that any JSON can hold: bytes in it that are no text are written ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")

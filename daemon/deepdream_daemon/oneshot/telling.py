"""What plugins are told of photos that were dreamt without a daemon: how each ended. Their jobs have the number 0."""

from __future__ import annotations

from deepdream_daemon.oneshot.pieces import Finished
from deepdream_daemon.pipeline.telling import job_facts, readable_path
from deepdream_plugins.events import JobFailed, JobFinished


def event_of(finished: Finished) -> JobFinished | JobFailed:
    """Return the event that says what became of a photo; its folder is the one that it lies in."""
    facts = job_facts(0, finished.photo, finished.photo.parent, finished.recipe)
    if finished.output is None:
        return JobFailed(**facts, error=finished.error, advice="", final=True)
    return JobFinished(**facts, output=readable_path(finished.output), seconds=round(finished.seconds, 3))

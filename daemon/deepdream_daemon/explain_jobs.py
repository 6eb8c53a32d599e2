"""Why a job is where it is: what :mod:`~deepdream_daemon.explain` says of files that have one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.advice import retry_command
from deepdream_daemon.journal.deliveries import DeliveryRecord
from deepdream_daemon.journal.holds import Hold
from deepdream_daemon.journal.journal import JobRecord

START = "Start the daemon: deepdream run."


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """``state`` is a job's state, or ``ignored``, ``missing``, ``new``, ``changed``, ``skipped``,
    ``output``, ``outside``. ``deliveries`` are those of its dream to the sinks of its folder.
    """

    state: str
    reason: str
    output: Path | None = None
    history: tuple[tuple[float, str], ...] = ()
    deliveries: tuple[DeliveryRecord, ...] = ()
    advice: str | None = None


def of_unfinished(
    job: JobRecord, history: tuple[tuple[float, str], ...], held: Hold | None, *, is_running: bool, by: str = ""
) -> Explanation:
    """Explain a job that may not be finished: what is true of it depends on whether a daemon runs. ``by`` says who
    chose its recipe, if no plugin did."""
    recipe = recipe_of(job, by)
    if job.state in {"queued", "waiting"} and job.due is not None:
        if not is_running:
            before = f"; when one ran last: {_error_of(job)}" if job.error else ""
            reason = f"it waits for a daemon, with {recipe}{before}"
            return Explanation(state=job.state, reason=reason, history=history, advice=START)
        if held is not None:
            reason = f"it waits, with {recipe}: {held.error}"
            return Explanation(state=job.state, reason=reason, history=history, advice=held.advice)
    if job.state in {"running", "publishing"} and not is_running:
        reason = f"the daemon ended in the middle of it, with {recipe}; the next one goes on with it"
        return Explanation(state=job.state, reason=reason, history=history, advice=START)
    return of_job(job, history, by)


def of_job(job: JobRecord, history: tuple[tuple[float, str], ...], by: str = "") -> Explanation:
    """Explain a job that has ended, or that a running daemon has."""
    recipe = recipe_of(job, by)
    error = _error_of(job)
    before = f"; the last try failed: {error}" if error else ""
    reasons = {
        "queued": f"it waits for its turn, with {recipe}{before}",
        "waiting": f"it {error}, with {recipe}"
        if job.due is None
        else f"it is tried again in {max(0.0, job.due - time.time()):.0f} s: {error}",
        "running": f"it is being dreamt with {recipe}",
        "publishing": "its dream is about to appear",
        "done": f"it was dreamt with {recipe}",
        "failed": f"it failed: {error}",
        "vanished": f"it vanished: {error}",
    }
    advice, reason = job.advice, reasons[job.state]
    if job.state == "done":
        advice = None
        if job.output is not None and not job.output.exists():
            reason += "; the dream is not where it was published any more"
            advice = f"To dream it again: {retry_command(job.source)}"
        elif any(delivery.state == "given up" for delivery in job.deliveries):
            reason += "; it did not arrive at every sink"
            advice = f"To bring it there again: {retry_command(job.source)}"
    return Explanation(
        state=job.state,
        reason=reason,
        output=job.output,
        history=history,
        deliveries=job.deliveries,
        advice=advice,
    )


def recipe_of(job: JobRecord, by: str = "") -> str:
    """Return the recipe of a job in words."""
    return named(job.recipe, job.chosen_by, by)


def named(recipe: str, plugin: str | None, by: str) -> str:
    """Return the recipe in words, with the plugin that chose it, or else who did."""
    chosen = f"which the plugin {plugin!r} chose" if plugin else by
    return f"the recipe {recipe!r}{f', {chosen}' if chosen else ''}"


def _error_of(job: JobRecord) -> str:
    return unplaced(job.error or "", job.source)


def unplaced(error: str, path: Path) -> str:
    """Return ``error`` without the path at its beginning, if that is ``path``: it was asked about."""
    return error.removeprefix(f"{path}: ")

"""Why a job is where it is: what :mod:`~deepdream_daemon.explaining.explain` says of files that have one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.explaining.advice import retry_command
from deepdream_daemon.explaining.waiting import Wait
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.deliveries import DeliveryRecord
from deepdream_daemon.journal.disposals import DisposalRecord
from deepdream_daemon.journal.journal import JobRecord

START = "Start the daemon: deepdream run."


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """``state`` is a job's state, or ``ignored``, ``missing``, ``new``, ``changed``, ``skipped``,
    ``output``, ``disposed``, ``outside``, ``folder``. ``deliveries`` are those of its dream to the sinks of its folder,
    ``disposal`` is what becomes of the picture.
    """

    state: str
    reason: str
    output: Path | None = None
    history: tuple[tuple[float, str], ...] = ()
    deliveries: tuple[DeliveryRecord, ...] = ()
    disposal: DisposalRecord | None = None
    advice: str | None = None


def of_unfinished(
    job: JobRecord,
    history: tuple[tuple[float, str], ...],
    wait: Wait | None,
    *,
    is_running: bool,
    by: str = "",
    disposal: DisposalRecord | None = None,
) -> Explanation:
    """Explain a job that may not be finished: what is true of it depends on whether a daemon runs, and for what it has
    to ``wait`` then. ``by`` says who chose its recipe, if no plugin did."""
    how = _how(job, by)
    if job.state in {"queued", "waiting"} and job.due is not None:
        if not is_running:
            before = f"; when one ran last: {_error_of(job)}" if job.error else ""
            reason = f"it waits for a daemon, {how}{before}"
            return Explanation(state=job.state, reason=reason, history=history, advice=START)
        if wait is not None:
            reason = f"it waits, {how}: {wait.reason}"
            return Explanation(state=job.state, reason=reason, history=history, advice=wait.advice)
    if job.state in {"running", "publishing"} and not is_running:
        reason = f"the daemon ended in the middle of it, {how}; the next one goes on with it"
        return Explanation(state=job.state, reason=reason, history=history, advice=START)
    if job.state == "running" and job.recipe == COPIED and wait is not None:
        return Explanation(
            state=job.state, reason=f"it is being copied; {wait.reason}", history=history, advice=wait.advice
        )
    if job.state == "publishing" and wait is not None:
        reason = f"whether it has appeared cannot be found out at the moment, {how}: {wait.reason}"
        return Explanation(state=job.state, reason=reason, history=history, advice=wait.advice)
    return of_job(job, history, by, disposal)


def of_job(
    job: JobRecord, history: tuple[tuple[float, str], ...], by: str = "", disposal: DisposalRecord | None = None
) -> Explanation:
    """Explain a job that has ended, or that a running daemon has."""
    recipe, how = recipe_of(job, by), _how(job, by)
    error = _error_of(job)
    before = f"; the last try failed: {error}" if error else ""
    is_copy = job.recipe == COPIED
    thing = "copy" if is_copy else "dream"
    reasons = {
        "queued": f"it waits for its turn, {how}{before}",
        "waiting": f"it {error}, {how}"
        if job.due is None
        else f"it is tried again in {max(0.0, job.due - time.time()):.0f} s: {error}",
        "running": "it is being copied" if is_copy else f"it is being dreamt with {recipe}",
        "publishing": f"its {thing} is about to appear",
        "done": f"it was {recipe}" if is_copy else f"it was dreamt with {recipe}",
        "failed": f"it failed: {error}",
        "vanished": f"it vanished: {error}",
    }
    advice, reason = job.advice, reasons[job.state]
    if job.state == "done":
        advice = None
        if job.output is not None and not job.output.exists():
            reason += f"; the {thing} is not where it was published any more"
            advice = f"To {'copy' if is_copy else 'dream'} it again: {retry_command(job.source)}"
        elif any(delivery.state == "given up" for delivery in job.deliveries):
            reason += "; it did not arrive at every sink"
            advice = f"To bring it there again: {retry_command(job.source)}"
        if disposal is not None:
            reason += f"; {disposal}"
    return Explanation(
        state=job.state,
        reason=reason,
        output=job.output,
        history=history,
        deliveries=job.deliveries,
        disposal=disposal if job.state == "done" else None,
        advice=advice,
    )


def recipe_of(job: JobRecord, by: str = "") -> str:
    """Return the recipe of a job in words, or what is done instead of dreaming."""
    if job.recipe == COPIED:
        return "copied unchanged, as it is no picture (copy_through)"
    return named(job.recipe, job.chosen_by, by)


def _how(job: JobRecord, by: str) -> str:
    return f"to be {recipe_of(job)}" if job.recipe == COPIED else f"with {recipe_of(job, by)}"


def named(recipe: str, plugin: str | None, by: str) -> str:
    """Return the recipe in words, with the plugin that chose it, or else who did."""
    chosen = f"which the plugin {plugin!r} chose" if plugin else by
    return f"the recipe {recipe!r}{f', {chosen}' if chosen else ''}"


def _error_of(job: JobRecord) -> str:
    return unplaced(job.error or "", job.source)


def unplaced(error: str, path: Path) -> str:
    """Return ``error`` without the path at its beginning, if that is ``path``: it was asked about."""
    return error.removeprefix(f"{path}: ")

"""Why a picture is not begun, or not even taken, though a daemon runs: what the operator has asked for, and what the
settings of its folder say about when. Files that are only copied wait for neither the hour nor each other.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.advice import back_again
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.holds import Hold
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.hours import is_open, opens_at
from deepdream_daemon.publishing.places import OtherPlace, look_at_place

RESUME = "Go on: deepdream resume."


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What is waited for, as the rest of a sentence, and what can be done about it, if anything."""

    reason: str
    advice: str | None = None


def to_be_begun(job: JobRecord, folder: FolderSettings, journal: Journal, held: Hold | None) -> Wait | None:
    """Return what a queued job of a running daemon waits for, besides its turn; ``None`` if for nothing else. Of one
    that is being copied, what keeps that from going on."""
    if job.recipe == COPIED and job.state == "running":
        pause = journal.copy_pauses().get(folder.input)
        return None if pause is None else Wait(reason=pause.reason, advice=pause.advice)
    since = journal.paused_since()
    if since is not None:
        return Wait(reason=f"the daemon was paused {_at(since)}, and begins nothing", advice=RESUME)
    if held is not None:
        return Wait(reason=held.error, advice=held.advice)
    if job.state == "waiting":
        return None  # it has a time of its own
    if job.recipe == COPIED:
        pause = journal.copy_pauses().get(folder.input)
        reason = "nothing is copied from its folder at the moment: "
        return None if pause is None else Wait(reason=f"{reason}{pause.reason}", advice=pause.advice)
    if not is_open(folder.hours):
        opening = opens_at(folder.hours)
        begins = f"; that is {_at(opening)}" if opening is not None else ""
        return Wait(
            reason=f"pictures of its folder are dreamt from {' and '.join(map(_span, folder.hours))} only{begins}",
            advice="To have it begun now, change hours in the configuration, or: deepdream dream FILE",
        )
    at_work = journal.at_work_in(folder.input)
    if folder.max_at_once is not None and at_work >= folder.max_at_once:
        return Wait(
            reason=f"{at_work} of its folder's are under way, as many as max_at_once = {folder.max_at_once} allows"
        )
    return None


def to_be_found_out(folder: FolderSettings, journal: Journal) -> Wait | None:
    """Return what keeps a running daemon from finding out whether an output that it had announced is visible."""
    try:
        look_at_place(journal, folder.output)
    except OtherPlace as error:
        return Wait(reason=f"the output folder {os.fspath(folder.output)!r}: {error.strerror}", advice=error.advice)
    except OSError:
        return Wait(reason=f"the output folder {os.fspath(folder.output)!r} is away", advice=back_again(folder.output))
    return None


def to_be_taken(folder: FolderSettings, settings: Settings, journal: Journal) -> Wait | None:
    """Return why a running daemon takes no new file from ``folder`` now, if it does not."""
    since = journal.draining_since()
    if since is not None:
        return Wait(
            reason=f"the daemon was asked to drain {_at(since)}, and takes nothing new; the next one does",
            advice="To have it go on: deepdream resume",
        )
    counts = journal.counts()
    queued = counts["queued"] + counts["waiting"]
    if settings.max_queued is not None and queued >= settings.max_queued:
        return Wait(
            reason=f"{queued} are queued, as many as max_queued = {settings.max_queued} allows; it waits for room"
        )
    if folder.polling:
        return Wait(reason=f"its folder is looked at every {settings.rescan_seconds:g} s (polling)")
    return None


def _span(hours: str) -> str:
    return hours.replace("-", " to ")


def _at(when: float) -> str:
    """Return a unix time in words, with the day if it is another one."""
    local, today = time.localtime(when), time.localtime()
    same_day = (local.tm_year, local.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("at %H:%M" if same_day else "on %Y-%m-%d at %H:%M", local)

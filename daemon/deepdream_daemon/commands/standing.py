"""What a state folder tells of its daemon, for ``deepdream status``: from the journal and the folders alone, so that
any process may ask while the daemon works in another.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.intake.roots import Root
    from deepdream_daemon.journal.deliveries import Undelivered
    from deepdream_daemon.journal.holds import Hold
    from deepdream_daemon.journal.journal import JobRecord, Journal
    from deepdream_daemon.journal.notes import Pause

SHOWN = ("running", "publishing", "queued", "waiting", "failed", "done")
AT_WORK = {"running", "publishing"}
LOOKING_SECONDS = 1.0
"""How long each input folder is searched, at most, for folders that cannot be looked into."""
LOOKED_AT = 100
"""How many jobs that wait are asked for their errors."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """``pid`` is the running daemon's; without one, nothing is told that is true of a running one alone. ``troubles``
    keep it from its work, each with what to do; ``paused`` and ``draining`` are since when (unix times)."""

    pid: int | None
    counts: Mapping[str, int]
    jobs: Mapping[str, list[JobRecord]]
    undelivered: Undelivered
    paused: float | None
    draining: float | None = None
    busy_share: float | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)
    disabled: Mapping[str, str] = field(default_factory=dict)
    reload_error: str | None = None
    worker_restarts: int = 0
    last_death: str | None = None


def look(journal: Journal, settings: Settings, last: int, *, into_folders: bool = True) -> Standing:
    """Ask for the ``last`` jobs of each kind and all the rest; walking through the folders takes a while."""
    from deepdream_daemon.running.lock import running_pid

    pid = running_pid(settings.state)
    counts = journal.counts()
    jobs = {state: journal.recent(state, last) for state in SHOWN}
    always = Standing(
        pid=pid, counts=counts, jobs=jobs, undelivered=journal.undelivered(), paused=journal.paused_since()
    )
    if pid is None:
        return always
    waiting = [job for state in ("queued", "waiting") for job in journal.recent(state, LOOKED_AT)]
    troubles = _troubles(settings, journal.holds(), waiting, places=journal.noted_places(), into_folders=into_folders)
    troubles |= journal.noted_troubles() | _of_sinks(journal.delivery_troubles(), journal.pauses())
    troubles |= dict.fromkeys(journal.disposal_troubles(), "It is tried again by itself.")
    troubles |= {pause.reason: pause.advice for pause in journal.copy_pauses().values()}
    restarts, last_death = journal.worker_note()
    return replace(
        always,
        draining=journal.draining_since(),
        # Nothing is busy when nothing is at work, whatever was.
        busy_share=journal.busy_share() if any(counts[state] for state in AT_WORK) else None,
        troubles=troubles,
        disabled=journal.disabled_plugins(),
        reload_error=journal.reload_error(),
        worker_restarts=restarts,
        last_death=last_death,
    )


def is_watched(settings: Settings, folder: Path) -> bool:
    """Tell whether ``folder`` is an input folder; of a configuration that cannot be read, it may be."""
    return not settings.folders or any(folder == each.input for each in settings.folders)


def _troubles(
    settings: Settings,
    holds: Iterable[Hold],
    waiting: Iterable[JobRecord],
    *,
    places: Mapping[Path, Root],
    into_folders: bool,
) -> dict[str, str]:
    """Return what keeps a running daemon from its work, each with what to do about it; ``places`` is which directories
    its folders were."""
    from deepdream_daemon.explaining.advice import back_again
    from deepdream_daemon.intake.roots import Roots

    away = Roots((folder.input for folder in settings.folders), places).away()
    away += [folder.output for folder in settings.folders if not folder.output.is_dir()]
    troubles = {f"the folder {str(path)!r} is away": back_again(path) for path in away}
    for folder in settings.folders if into_folders else ():
        troubles |= _unreadable(folder.input, (*settings.ignore, *folder.ignore))
    troubles |= {hold.error: hold.advice for hold in holds if is_watched(settings, hold.folder)}
    # A picture that waits for a file beside it keeps nobody from anything.
    waiting = [job for job in waiting if job.due is not None and is_watched(settings, job.folder)]
    return troubles | {job.error: job.advice or "" for job in waiting if job.error}


def _of_sinks(refused: Mapping[tuple[Path, str], str], pauses: Mapping[tuple[Path, str], Pause]) -> dict[str, str]:
    """Return the sinks that did not take a dream, or get none for now, each with what to do about it."""
    advice = "Dreams are brought to it again by themselves; which are waiting: deepdream explain FILE."
    kept = "Dreams are kept for it until it can be used again."
    away = {place: pause.reason for place, pause in pauses.items() if pause.reason}
    said = {place: (error, advice) for place, error in refused.items()}
    said |= {place: (reason, kept) for place, reason in away.items()}
    return {f"the sink {sink!r} of {str(folder)!r}: {error}": what for (folder, sink), (error, what) in said.items()}


def _unreadable(root: Path, ignore: Sequence[str]) -> dict[str, str]:
    """Return which of the folders from ``root`` down cannot be looked into, each with what to do about it."""
    from deepdream_daemon.explaining.advice import shell_path
    from deepdream_daemon.intake.scan import walk

    failed: dict[Path, OSError] = {}
    until = time.monotonic() + LOOKING_SECONDS
    for _ in walk(root, lambda _: {}, ignore, look_at_all=True, on_error=failed.__setitem__):
        if time.monotonic() > until:
            break
    troubles: dict[str, str] = {}
    for folder, error in failed.items():
        trouble = f"the folder {str(folder)!r} cannot be looked into: {error.strerror or error}"
        troubles[trouble] = f"Make it readable: chmod u+rx {shell_path(folder)}"
    return troubles

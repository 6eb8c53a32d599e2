"""``deepdream status``: what runs, waits, failed and is done, and what keeps the rest from going on.

All of it comes from the journal and the folders, so that any process may ask while the daemon works in another.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.shared import (
    clock,
    config_option,
    json_option,
    print_fields,
    print_json,
    print_table,
    wrapped,
)
from deepdream_daemon.terminal.messages import shortened

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.journal.deliveries import Undelivered
    from deepdream_daemon.journal.holds import Hold
    from deepdream_daemon.journal.journal import JobRecord
    from deepdream_daemon.journal.notes import Pause

SHOWN = ("running", "publishing", "queued", "waiting", "failed", "done")
AT_WORK = {"running", "publishing"}
UNFINISHED = AT_WORK | {"queued", "waiting"}
LOOKING_SECONDS = 1.0
"""How long each input folder is searched, at most, for folders that cannot be looked into."""
LONGEST = 600
"""Characters of an error that are shown: enough for a name and all choices. A traceback's worth is in the log."""
TROUBLE_WIDTH, RESULT_WIDTH = 180, 100
LOOKED_AT, TROUBLES = 100, 3
"""How many jobs that wait are asked for their errors, and how many different ones are shown."""


@click.command()
@click.option("-n", "--last", default=5, show_default=True, type=click.IntRange(0, 1000), help="How many of each.")
@config_option
@json_option
def status(last: int, config: Path | None, as_json: bool) -> None:
    """Show what runs, waits, failed and is done."""
    from deepdream_daemon.configuration.config import default_settings, find_config, load_settings
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running import running_pid

    path = find_config(config)
    settings = load_settings(path, folders_must_exist=False) if path else default_settings()
    pid = running_pid(settings.state)
    journal = Journal.open(settings.state, read_only=True)
    try:
        counts, holds = journal.counts(), journal.holds()
        busy_share = journal.busy_share() if pid is not None else None
        disabled = journal.disabled_plugins() if pid is not None else {}
        noted, pauses = journal.noted_troubles(), journal.pauses()
        undelivered, refused = journal.undelivered(), journal.delivery_troubles()
        waiting = [job for state in ("queued", "waiting") for job in journal.recent(state, LOOKED_AT)]
        lists = {state: journal.recent(state, last) for state in SHOWN}
    finally:
        journal.close()
    if not any(counts[state] for state in AT_WORK):
        busy_share = None  # nothing is busy now, whatever was
    troubles = {}
    if pid is not None:
        troubles = _troubles(settings, holds, waiting) | noted | _of_sinks(refused, pauses)
    if as_json:
        print_json(
            {
                "running": pid is not None,
                "pid": pid,
                "config": settings.path,
                "state": settings.state,
                "busy_share": busy_share,
                "degraded": "; ".join(troubles) or None,
                "disabled_plugins": disabled,
                "counts": counts,
                "undelivered": asdict(undelivered),
                "jobs": {state: [asdict(job) for job in jobs] for state, jobs in lists.items()},
            }
        )
        return
    degraded = _few([shortened(text, LONGEST) for text in troubles], "; ")
    print_fields(
        {
            "daemon": f"running, process {pid}" if pid is not None else "not running; start it: deepdream run",
            "devices": f"busy {busy_share:.0%} of the time with work" if busy_share is not None else None,
            "degraded": wrapped(degraded, TROUBLE_WIDTH) if degraded else None,
            # Whole: it holds commands to copy.
            "advice": _few(dict.fromkeys(filter(None, troubles.values())), " "),
            "disabled": [line for name, reason in disabled.items() for line in _disabled(name, reason)] or None,
            "config": settings.path or "none; make one: deepdream init",
            "jobs": ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "none yet",
            "undelivered": _undelivered(undelivered),
        }
    )
    _print_lists(lists, settings, said=list(troubles)[:TROUBLES], is_running=pid is not None)


def _troubles(settings: Settings, holds: Iterable[Hold], waiting: Iterable[JobRecord]) -> dict[str, str]:
    """Return what keeps a running daemon from its work, each with what to do about it."""
    troubles = {
        f"the folder {str(path)!r} is away": "Mount or create it; it goes on by itself."
        for folder in settings.folders
        for path in (folder.input, folder.output)
        if not path.is_dir()
    }
    for folder in settings.folders:
        troubles |= _unreadable(folder.input, settings)
    watched = _watched(settings)
    troubles |= {hold.error: hold.advice for hold in holds if hold.folder in watched}
    # A picture that waits for a file beside it keeps nobody from anything.
    waiting = [job for job in waiting if job.due is not None and job.folder in watched]
    return troubles | {job.error: job.advice or "" for job in waiting if job.error}


def _of_sinks(refused: Mapping[tuple[Path, str], str], pauses: Mapping[tuple[Path, str], Pause]) -> dict[str, str]:
    """Return the sinks that did not take a dream, or get none for now, each with what to do about it."""
    advice = "Dreams are brought to it again by themselves; which are waiting: deepdream explain FILE."
    kept = "Dreams are kept for it until it can be used again."
    away = {place: pause.reason for place, pause in pauses.items() if pause.reason}
    said = {place: (error, advice) for place, error in refused.items()}
    said |= {place: (reason, kept) for place, reason in away.items()}
    return {f"the sink {sink!r} of {str(folder)!r}: {error}": what for (folder, sink), (error, what) in said.items()}


def _disabled(name: str, reason: str) -> list[str]:
    return wrapped(f"the plugin {name}: {shortened(reason, LONGEST)}", TROUBLE_WIDTH)


def _undelivered(undelivered: Undelivered) -> str | None:
    """Say how many dreams have not arrived at a sink; nothing if all have."""
    told = {"on their way to a sink": undelivered.pending, "given up (deepdream retry FILE)": undelivered.given_up}
    return ", ".join(f"{number} {what}" for what, number in told.items() if number) or None


def _unreadable(root: Path, settings: Settings) -> dict[str, str]:
    """Return which of the folders from ``root`` down cannot be looked into, each with what to do about it."""
    from deepdream_daemon.advice import shell_path
    from deepdream_daemon.intake.scan import walk

    failed: dict[Path, OSError] = {}
    until = time.monotonic() + LOOKING_SECONDS
    for _ in walk(root, lambda _: {}, settings.ignore, look_at_all=True, on_error=failed.__setitem__):
        if time.monotonic() > until:
            break
    troubles: dict[str, str] = {}
    for folder, error in failed.items():
        trouble = f"the folder {str(folder)!r} cannot be looked into: {error.strerror or error}"
        troubles[trouble] = f"Make it readable: chmod u+rx {shell_path(folder)}"
    return troubles


def _print_lists(
    lists: dict[str, list[JobRecord]], settings: Settings, said: Sequence[str], *, is_running: bool
) -> None:
    """Print a table for each state; an error that was ``said`` is not said again."""
    heard = set(said)
    for state, jobs in lists.items():
        rows: list[tuple[str, str, str, str]] = []
        for job in jobs:
            result = "" if job.output is None else str(job.output)
            if not is_running and state in UNFINISHED and job.due is not None:
                result = "the daemon ended in the middle of it" if state in AT_WORK else "it waits for a daemon"
            elif job.error is not None:
                result = "as above" if job.error in heard else _said_of(job, job.error)
                heard.add(job.error)
            elif state in {"queued", "waiting"} and job.folder not in _watched(settings):
                result = "its folder is not watched any more; it waits until the configuration names it again"
            when = _when(job) if is_running else clock(job.updated)
            first, *further = [result] if result == str(job.output) else _lines(result)
            rows.append((job.source.name, job.recipe, when, first))
            rows += [("", "", "", line) for line in further]
        if rows:
            click.echo(f"\n{state}")
            print_table(("picture", "recipe", "when", "result"), rows)


def _said_of(job: JobRecord, error: str) -> str:
    """Return ``error`` for the line of ``job``, which begins with its name: without the names of its folders."""
    short = error.replace(f"{job.source.parent}/", "").removeprefix(f"{job.source.name}: ")
    return shortened(short, LONGEST)


def _lines(text: str) -> list[str]:
    """Return ``text`` in lines; on a terminal the table knows better how wide they may be."""
    return [text] if sys.stdout.isatty() else wrapped(text, RESULT_WIDTH)


def _watched(settings: Settings) -> set[Path]:
    return {folder.input for folder in settings.folders}


def _when(job: JobRecord) -> str:
    if job.state != "waiting" or job.due is None:
        return clock(job.updated)
    return f"again in {max(0.0, job.due - time.time()):.0f} s"


def _few(texts: Collection[str], between: str) -> str | None:
    shown = list(texts)[:TROUBLES]
    if len(texts) > TROUBLES:
        shown.append(f"and {len(texts) - TROUBLES} more")
    return between.join(shown) or None

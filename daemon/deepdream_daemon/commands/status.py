"""``deepdream status``: what runs, waits, failed and is done, and what keeps the rest from going on."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.former import settings_of_daemon
from deepdream_daemon.commands.shared import (
    clock,
    config_option,
    json_option,
    print_fields,
    print_json,
    print_table,
    wrapped,
)
from deepdream_daemon.commands.standing import AT_WORK, Standing, is_watched, look
from deepdream_daemon.terminal.messages import shortened, told_apart

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.journal.deliveries import Undelivered
    from deepdream_daemon.journal.journal import JobRecord
    from deepdream_engine.errors import BadOption

UNFINISHED = AT_WORK | {"queued", "waiting"}
LONGEST = 600
"""Characters of an error that are shown: enough for a name and all choices. A traceback's worth is in the log."""
TROUBLE_WIDTH, RESULT_WIDTH = 180, 100
TROUBLES = 3
"""How many different ones are shown."""


@click.command()
@click.option("-n", "--last", default=5, show_default=True, type=click.IntRange(0, 1000), help="How many of each.")
@click.option("-w", "--watch", is_flag=True, help="Keep showing it, live, until q or Ctrl-C.")
@config_option
@json_option
def status(last: int, watch: bool, config: Path | None, as_json: bool) -> None:
    """Show what runs, waits, failed and is done."""
    from deepdream_daemon.journal.journal import Journal

    settings, mistake = settings_of_daemon(config)
    if watch:
        if as_json:
            raise click.UsageError("--watch is for people; programs read http://127.0.0.1:PORT/metrics ([monitoring]).")
        from deepdream_daemon.terminal.watching import watch_status

        watch_status(settings)
        return
    journal = Journal.open(settings.state, read_only=True)  # first: whoever may not read it is told so
    try:
        standing = look(journal, settings, last)
    finally:
        journal.close()
    if as_json:
        _print_json(standing, settings, mistake)
        return
    degraded = _few([shortened(text, LONGEST) for text in standing.troubles], "; ")
    print_fields(
        {
            "daemon": _daemon(standing),
            "paused": _paused(standing),
            "devices": f"busy {standing.busy_share:.0%} of the time with work"
            if standing.busy_share is not None
            else None,
            "degraded": wrapped(degraded, TROUBLE_WIDTH) if degraded else None,
            # Whole: it holds commands to copy.
            "advice": _few(dict.fromkeys(filter(None, standing.troubles.values())), " "),
            "reload": _reload(standing),
            "worker": _worker(standing),
            "disabled": [line for name, reason in standing.disabled.items() for line in _disabled(name, reason)]
            or None,
            "config": _config(settings, mistake, standing),
            "jobs": ", ".join(f"{number} {state}" for state, number in standing.counts.items() if number) or "none yet",
            "undelivered": _undelivered(standing.undelivered),
        }
    )
    _print_lists(standing, settings, said=list(standing.troubles)[:TROUBLES])


def _print_json(standing: Standing, settings: Settings, mistake: BadOption | None) -> None:
    print_json(
        {
            "running": standing.pid is not None,
            "pid": standing.pid,
            "config": settings.path,
            "config_error": None if mistake is None else str(mistake),
            "state": settings.state,
            "paused": standing.paused is not None,
            "draining": standing.draining is not None,
            "busy_share": standing.busy_share,
            "degraded": "; ".join(standing.troubles) or None,
            "reload_error": standing.reload_error,
            "worker": {"restarts": standing.worker_restarts, "last_death": standing.last_death},
            "disabled_plugins": standing.disabled,
            "counts": standing.counts,
            "undelivered": asdict(standing.undelivered),
            "jobs": {state: [asdict(job) for job in jobs] for state, jobs in standing.jobs.items()},
        }
    )


def _daemon(standing: Standing) -> str:
    if standing.pid is None:
        return "not running; start it: deepdream run"
    draining = "; it takes nothing new, and ends when all that is queued is dreamt" if standing.draining else ""
    return f"running, process {standing.pid}{draining}"


def _paused(standing: Standing) -> str | None:
    if standing.paused is None:
        return None
    return f"since {clock(standing.paused)}: no picture is begun until: deepdream resume"


def _reload(standing: Standing) -> list[str] | None:
    if standing.reload_error is None:
        return None
    error = shortened(standing.reload_error, LONGEST).rstrip(".")
    return wrapped(f"the changed configuration is not in force, but the one before: {error}", TROUBLE_WIDTH)


def _config(settings: Settings, mistake: BadOption | None, standing: Standing) -> str | list[str]:
    if settings.path is None:
        return "none; make one: deepdream init"
    if mistake is None or standing.reload_error is not None:  # which says it better: what is in force
        return str(settings.path)
    return wrapped(f"{settings.path}; it cannot be read: {shortened(str(mistake), LONGEST)}", TROUBLE_WIDTH)


def _worker(standing: Standing) -> str | None:
    if not standing.worker_restarts:
        return None
    often = "once" if standing.worker_restarts == 1 else f"{standing.worker_restarts} times"
    why = f"; the last time, it {shortened(standing.last_death)}" if standing.last_death else ""
    return f"started again {often}{why}"


def _disabled(name: str, reason: str) -> list[str]:
    return wrapped(f"the plugin {name}: {shortened(reason, LONGEST)}", TROUBLE_WIDTH)


def _undelivered(undelivered: Undelivered) -> str | None:
    """Say how many dreams have not arrived at a sink; nothing if all have."""
    told = {"on their way to a sink": undelivered.pending, "given up (deepdream retry FILE)": undelivered.given_up}
    return ", ".join(f"{number} {what}" for what, number in told.items() if number) or None


def _print_lists(standing: Standing, settings: Settings, said: Sequence[str]) -> None:
    """Print a table for each state; an error that was ``said`` is not said again."""
    heard, is_running = set(said), standing.pid is not None
    shown = [job for jobs in standing.jobs.values() for job in jobs]
    names = told_apart((job.source for job in shown), {job.folder for job in shown})
    for state, jobs in standing.jobs.items():
        rows: list[tuple[str, str, str, str]] = []
        for job in jobs:
            result = "" if job.output is None else str(job.output)
            if not is_running and state in UNFINISHED and job.due is not None:
                result = "the daemon ended in the middle of it" if state in AT_WORK else "it waits for a daemon"
            elif job.error is not None:
                result = "as above" if job.error in heard else _said_of(job, job.error)
                heard.add(job.error)
            elif state in {"queued", "waiting"} and not is_watched(settings, job.folder):
                result = "its folder is not watched any more; it waits until the configuration names it again"
            when = _when(job) if is_running else clock(job.updated)
            first, *further = [result] if result == str(job.output) else _lines(result)
            rows.append((names[job.source], job.recipe, when, first))
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


def _when(job: JobRecord) -> str:
    if job.state != "waiting" or job.due is None:
        return clock(job.updated)
    return f"again in {max(0.0, job.due - time.time()):.0f} s"


def _few(texts: Collection[str], between: str) -> str | None:
    shown = list(texts)[:TROUBLES]
    if len(texts) > TROUBLES:
        shown.append(f"and {len(texts) - TROUBLES} more")
    return between.join(shown) or None

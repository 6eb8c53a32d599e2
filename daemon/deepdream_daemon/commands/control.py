"""``deepdream pause``, ``resume`` and ``drain``: what the operator asks of the daemon, by a row in its journal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.former import settings_of_daemon
from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import clock, config_option, json_option, print_json
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.journal.journal import Journal

WAIT_SECONDS = 0.3
ENDS_SECONDS = 3.0
SILENT_SECONDS = 10.0
"""So long nothing may happen before it is told what a drain waits for."""
START = "start the daemon: deepdream run"


@click.command()
@config_option
@json_option
def pause(config: Path | None, as_json: bool) -> None:
    """Have no more pictures begun until 'deepdream resume'.

    What is under way is finished; new files are still taken in, and wait. A daemon that is started later stays paused.
    """
    with _opened(config) as (journal, pid, _):
        is_new, since = journal.pause(), journal.paused_since()
        under_way = _under_way(journal)
    if as_json:
        print_json({"paused": True, "since": since, "running": pid is not None, "under_way": under_way})
        return
    if not is_new and since is not None:
        click.echo(f"paused already, since {clock(since)}; go on: deepdream resume")
    elif pid is None:
        click.echo("paused: a daemon that is started begins no picture until: deepdream resume")
    else:
        told = f"; {under_way} under way {'is' if under_way == 1 else 'are'} finished" if under_way else ""
        click.echo(f"paused: no more pictures are begun{told}. Go on: deepdream resume")


@click.command()
@config_option
@json_option
def resume(config: Path | None, as_json: bool) -> None:
    """Go on after 'deepdream pause', or call off 'deepdream drain'."""
    with _opened(config) as (journal, pid, _):
        was_paused, was_draining = journal.is_paused(), journal.is_draining()
        journal.resume()
    if as_json:
        before = {"was_paused": was_paused, "was_draining": was_draining}
        print_json({"paused": False, **before, "running": pid is not None})
        return
    told = {"the pause is over": was_paused, "the drain is called off": was_draining}
    ended = [what for what, was in told.items() if was]
    said = " and ".join(ended) or "nothing was paused"
    click.echo(said if pid is not None else f"{said}; {START}")


@click.command()
@click.option("--wait", is_flag=True, help="Return when the daemon has ended.")
@config_option
@json_option
def drain(config: Path | None, wait: bool, as_json: bool) -> None:
    """Have the daemon dream all that it has queued, and end.

    It takes no new files meanwhile; the next daemon does. That one also dreams what waits for the hours of its folder,
    and goes on with what could not be published for a minute, because its output folder is away, full or broken.
    'deepdream resume' calls it off; a signal (Ctrl-C, SIGTERM) ends the daemon at once.
    """
    from deepdream_daemon.pipeline.hours import is_open

    with _opened(config) as (journal, pid, settings):
        if pid is None:
            raise Exit(f"no daemon is running with the state folder '{journal.state}', so there is nothing to drain.")
        if journal.is_paused():
            raise Exit("the daemon is paused, so it would never be done. First: deepdream resume.")
        journal.ask_drain()
        left = _left(journal)
        if wait:
            _wait(journal, pid)
            left = _left(journal) + journal.counts()["waiting"]
    if as_json:
        print_json({"draining": not wait, "left": left, "ended": wait})
    elif wait:
        kept = f"; {left} {'waits' if left == 1 else 'wait'} for the next one" if left else ""
        click.echo(f"drained: the daemon has ended{kept}")
    else:
        kept = "" if all(is_open(folder.hours) for folder in settings.folders) else "; what waits for its hours stays"
        click.echo(
            f"draining: the daemon ends when {left or 'nothing'} more {'is' if left < 2 else 'are'} dreamt{kept}"
        )


@contextlib.contextmanager
def _opened(config: Path | None) -> Iterator[tuple[Journal, int | None, Settings]]:
    """Open the journal to be written to, and tell which process works with it, and by which settings."""
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running.lock import running_pid

    settings, _ = settings_of_daemon(config)
    if Journal.is_missing(settings.state) and running_pid(settings.state) is None:
        raise Exit(f"no daemon has ever run with the state folder '{settings.state}'. Make one run: deepdream run.")
    journal = Journal.open(settings.state)
    try:
        yield journal, running_pid(settings.state), settings
    finally:
        journal.close()


def _waited_for(journal: Journal) -> str:
    """Say why a drained daemon has not ended."""
    if journal.is_paused():
        return f"{_left(journal)} pictures, and the daemon is paused. Go on, and drain anew: deepdream resume"
    states = {"publishing": "to be published", "running": "to be dreamt", "queued": "to be begun"}
    for state, what in states.items():
        if jobs := journal.recent(state, 1):
            more = _left(journal) - 1
            told = f"{readable(jobs[0].source)} {what}{f' and {more} more' if more > 0 else ''}"
            return f"{told}. Why: deepdream explain {shell_path(jobs[0].source)}"
    return "the daemon to end"


def _under_way(journal: Journal) -> int:
    counts = journal.counts()
    return counts["running"] + counts["publishing"]


def _left(journal: Journal) -> int:
    return journal.counts()["queued"] + _under_way(journal)


def _wait(journal: Journal, pid: int) -> None:
    """Wait for the end; if nothing happens for a while, say what is waited for, and how to do without."""
    from deepdream_daemon.running.lock import running_pid

    before, since = -1, time.monotonic()
    while running_pid(journal.state) is not None:
        if (left := _left(journal)) != before:
            before, since = left, time.monotonic()
        elif time.monotonic() - since > SILENT_SECONDS:
            since = float("inf")
            click.echo(f"still waiting for {_waited_for(journal)}. To end it at once: kill {pid}", err=True)
        if not journal.is_draining():
            _await_end(journal)  # it forgets the drain as the last it does
        time.sleep(WAIT_SECONDS)


def _await_end(journal: Journal) -> None:
    from deepdream_daemon.running.lock import running_pid

    until = time.monotonic() + ENDS_SECONDS
    while running_pid(journal.state) is not None:
        if time.monotonic() > until:
            raise Exit("the drain was called off; the daemon goes on.")
        time.sleep(WAIT_SECONDS)

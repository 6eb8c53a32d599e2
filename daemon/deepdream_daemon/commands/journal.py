"""What the journal knows: ``status`` of everything, ``explain`` one file, ``retry`` one file."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import (
    PATH,
    absolute,
    config_option,
    json_option,
    print_fields,
    print_json,
    print_table,
)
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.journal.journal import JobRecord


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
        counts = journal.counts()
        lists = {state: journal.recent(state, last) for state in ("running", "waiting", "failed", "done")}
    finally:
        journal.close()
    degraded = _degraded(settings, lists["waiting"]) if pid is not None else None
    if as_json:
        print_json(
            {
                "running": pid is not None,
                "pid": pid,
                "config": settings.path,
                "state": settings.state,
                "degraded": degraded,
                "counts": counts,
                "jobs": {state: [_job_dict(job) for job in jobs] for state, jobs in lists.items()},
            }
        )
        return
    running = f"running, process {pid}" if pid is not None else "not running; start it: deepdream run"
    print_fields(
        {
            "daemon": running,
            "degraded": degraded,
            "config": settings.path or "none; make one: deepdream init",
            "jobs": ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "none yet",
        }
    )
    for state, jobs in lists.items():
        if jobs:
            click.echo(f"\n{state}")
            print_table(("picture", "recipe", "when", "result"), [_row(job) for job in jobs])


@click.command()
@click.argument("file", type=PATH)
@config_option
@json_option
def explain(file: Path, config: Path | None, as_json: bool) -> None:
    """Say what became of FILE and why."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.explain import explain as explain_file
    from deepdream_daemon.journal.journal import Journal

    assembly = assemble(config)
    path = absolute(file)
    journal = Journal.open(assembly.settings.state, read_only=True)
    try:
        explanation = explain_file(path, assembly.settings, assembly.book, journal)
    finally:
        journal.close()
    if as_json:
        print_json({"path": path, **asdict(explanation)})
        return
    print_fields(
        {
            "file": path,
            "state": explanation.state,
            "why": explanation.reason,
            "dream": explanation.output,
            "advice": explanation.advice,
        }
    )
    if explanation.history:
        click.echo("history")
        for when, what in explanation.history:
            click.echo(f"  {_clock(when)}  {readable(what)}")


@click.command()
@click.argument("file", type=PATH)
@config_option
@json_option
def retry(file: Path, config: Path | None, as_json: bool) -> None:
    """Dream FILE again, whether it failed or is done.

    A running daemon takes it at its next scan, otherwise the next one that is started.
    """
    from deepdream_daemon.configuration.config import default_settings, find_config, load_settings
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running import running_pid

    chosen = find_config(config)
    settings = load_settings(chosen, folders_must_exist=False) if chosen else default_settings()
    path = absolute(file)
    count = 0
    if (settings.state / "journal.sqlite3").exists():
        journal = Journal.open(settings.state)
        try:
            count = journal.retry(path)
        finally:
            journal.close()
    if count == 0:
        raise Exit(f"{readable(path)}: no finished job to repeat. Ask: deepdream explain {readable(file)}")
    running = running_pid(settings.state) is not None
    if as_json:
        print_json({"path": path, "queued": count, "running": running})
        return
    click.echo(f"{readable(path)}: queued again{'' if running else '; start the daemon: deepdream run'}")


def _degraded(settings: Settings, waiting: Sequence[JobRecord]) -> str | None:
    """Say what keeps a running daemon from its work, as far as it can be seen from outside."""
    away = [
        f"the folder {str(path)!r} is away"
        for folder in settings.folders
        for path in (folder.input, folder.output)
        if not path.is_dir()
    ]
    return "; ".join([*away, *dict.fromkeys(job.error for job in waiting if job.error)]) or None


def _row(job: JobRecord) -> tuple[str, str, str, str]:
    result = job.error or ("" if job.output is None else str(job.output))
    return job.source.name, job.recipe, _clock(job.updated), result


def _job_dict(job: JobRecord) -> dict[str, Any]:
    return asdict(job)


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))

"""What the journal knows of one file: ``explain`` it, ``retry`` it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import (
    PATH,
    absolute,
    clock,
    config_option,
    json_option,
    print_fields,
    print_json,
)
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from deepdream_daemon.journal.deliveries import DeliveryRecord


@click.command()
@click.argument("file", type=PATH)
@config_option
@json_option
def explain(file: Path, config: Path | None, as_json: bool) -> None:
    """Say what became of FILE and why."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.explain import explain as explain_file
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running import running_pid

    assembly = assemble(config)
    is_running = running_pid(assembly.settings.state) is not None
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
    if explanation.deliveries:
        click.echo("deliveries")
        for delivery in explanation.deliveries:
            told = _told(delivery, is_running=is_running)
            click.echo(f"  {clock(delivery.updated)}  {readable(delivery.sink)}: {readable(told)}")
    if explanation.history:
        click.echo("history")
        for when, what in explanation.history:
            click.echo(f"  {clock(when)}  {readable(what)}")


def _told(delivery: DeliveryRecord, *, is_running: bool) -> str:
    """Say how far a delivery is."""
    if delivery.state != "pending":
        return f"{delivery.state}{f': {delivery.error}' if delivery.error else ''}"
    wait = delivery.due - time.time()
    again = f"again in {wait:.0f} s" if wait >= 1 else "again soon"
    if not is_running:
        again = "it waits for a daemon"
    elif delivery.waits:
        again = delivery.waits
    if delivery.error is None:
        return again if delivery.waits or not is_running else "on its way"
    tried = f"tried {delivery.attempts} times" if delivery.attempts > 1 else "tried once"
    return f"{tried}, {again}: {delivery.error}"


@click.command()
@click.argument("file", type=PATH)
@click.option("--dream", is_flag=True, help="Dream it again, even if only a sink lacks its dream.")
@config_option
@json_option
def retry(file: Path, config: Path | None, *, dream: bool, as_json: bool) -> None:
    """Dream FILE again, whether it failed or is done.

    If its dream is there and did not arrive at a sink, that is tried again instead. A running daemon does it at once,
    otherwise the next one that is started.
    """
    from deepdream_daemon.advice import shell_path
    from deepdream_daemon.configuration.config import default_settings, find_config, load_settings
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running import running_pid

    chosen = find_config(config)
    settings = load_settings(chosen, folders_must_exist=False) if chosen else default_settings()
    path = absolute(file)
    count = deliveries = 0
    if (settings.state / "journal.sqlite3").exists():
        journal = Journal.open(settings.state)
        try:
            deliveries = 0 if dream else journal.deliver_again(journal.to_deliver_again(path))
            count = deliveries or journal.retry(path)
        finally:
            journal.close()
    if count == 0:
        raise Exit(f"{readable(path)}: no finished job to repeat. Ask: deepdream explain {shell_path(file)}")
    running = running_pid(settings.state) is not None
    if as_json:
        print_json({"path": path, "queued": count - deliveries, "deliveries": deliveries, "running": running})
        return
    what = "brought to its sinks again" if deliveries else "queued again"
    click.echo(f"{readable(path)}: {what}{'' if running else '; start the daemon: deepdream run'}")

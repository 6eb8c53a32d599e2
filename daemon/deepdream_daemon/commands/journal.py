"""``deepdream explain``: what became of one file, and why."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    """Say what became of FILE and why.

    Of a folder it says whether it is watched, and what became of the pictures in it.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.explaining.explain import explain as explain_file
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running.lock import running_pid

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

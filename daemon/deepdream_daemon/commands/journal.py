"""What the journal knows of one file: ``explain`` it, ``retry`` it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

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
            click.echo(f"  {clock(when)}  {readable(what)}")


@click.command()
@click.argument("file", type=PATH)
@config_option
@json_option
def retry(file: Path, config: Path | None, as_json: bool) -> None:
    """Dream FILE again, whether it failed or is done.

    A running daemon takes it at once, otherwise the next one that is started.
    """
    from deepdream_daemon.advice import shell_path
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
        raise Exit(f"{readable(path)}: no finished job to repeat. Ask: deepdream explain {shell_path(file)}")
    running = running_pid(settings.state) is not None
    if as_json:
        print_json({"path": path, "queued": count, "running": running})
        return
    click.echo(f"{readable(path)}: queued again{'' if running else '; start the daemon: deepdream run'}")

"""``deepdream plugins``: which there are, on or off, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def plugins(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """List the plugins, on or off, and why."""
    if ctx.invoked_subcommand is not None:
        return
    from deepdream_daemon.configuration.assembly import assemble

    found = assemble(config).catalogue.plugins
    if as_json:
        print_json([asdict(plugin) for plugin in found])
        return
    print_table(
        ("plugin", "state", "origin", "version", "source", "reason"),
        [(p.name, p.state, p.origin, p.version, p.source, p.reason) for p in found],
    )

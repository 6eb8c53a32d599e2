"""``deepdream plugins``: which there are, on or off, and why; whether they are right."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import FAILED, LazyGroup
from deepdream_daemon.commands.shared import config_option, json_option, print_json, wrapped
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from deepdream_plugins.checking import Checked
    from deepdream_plugins.host import PluginInfo

_WIDEST = 120
_STYLES: dict[str, dict[str, Any]] = {
    "active": {"fg": "green"},
    "failed": {"fg": "red", "bold": True},
    "disabled": {"fg": "red", "bold": True},
    "off": {"dim": True},
}


@click.group(cls=LazyGroup, modules={"new": "new_plugin"}, invoke_without_command=True)
@click.option("--check", is_flag=True, help="Try out what the plugins provide, and run their own tests.")
@config_option
@json_option
@click.pass_context
def plugins(ctx: click.Context, check: bool, config: Path | None, as_json: bool) -> int:
    """List the plugins, on or off, and why.

    \b
    active    it is used
    off       it is installed, and nothing of it is imported
    failed    it could not be loaded
    disabled  it failed again and again while the daemon ran

    A plugin is a program that you choose to run. Installed ones run when [plugins] enable names them, and then with
    all your rights. 'deepdream plugins --check' exits with 1 if one has failed to load, or fails.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from deepdream_daemon.configuration.assembly import assemble

    host = assemble(config).catalogue.host
    checks: dict[str, Sequence[Checked]] = {}
    if check:
        from deepdream_plugins.checking import check_plugin

        strangers = [plugin.name for plugin in host.plugins if plugin.origin != "built-in" and plugin.state == "active"]
        for number, name in enumerate(strangers, 1):
            if sys.stderr.isatty():
                click.echo(f"checking {name} ({number} of {len(strangers)})", err=True)
            checks[name] = check_plugin(host, name)
    found = host.plugins
    if as_json:
        print_json([asdict(plugin) | _told(checks.get(plugin.name)) for plugin in found])
    else:
        _print(found, checks)
        if check and not checks:
            click.echo("\nThere is nothing to check: only built-in plugins are active.")
    is_bad = any(plugin.state == "failed" for plugin in found) or any(
        each.problem for checked in checks.values() for each in checked
    )
    return FAILED if check and is_bad else 0


def _told(checked: Sequence[Checked] | None) -> dict[str, Any]:
    return {} if checked is None else {"checks": [asdict(each) for each in checked]}


def _print(found: Sequence[PluginInfo], checks: dict[str, Sequence[Checked]]) -> None:
    """Print a line for each plugin, and below it what does not fit in one."""
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    columns = ("plugin", "state", "origin", "version", "sha256")
    rows = [[readable(cell) for cell in (p.name, p.state, p.origin, p.version, p.sha256[:12])] for p in found]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    click.secho("  ".join(map(str.ljust, columns, widths)).rstrip(), bold=True)
    for plugin, row in zip(found, rows, strict=True):
        cells = list(map(str.ljust, row, widths))
        cells[0] = click.style(cells[0], fg="cyan")
        cells[1] = click.style(cells[1], **_STYLES[plugin.state])
        click.echo("  ".join(cells).rstrip())
        if plugin.origin == "built-in" and plugin.state == "active":
            continue
        _below(plugin.source + (f" ({plugin.package})" if plugin.package else ""), width, dim=True)
        if plugin.reason:
            _below(plugin.reason, width)
        if plugin.note:
            _below(f"Note: {plugin.note}.", width)
        for each in checks.get(plugin.name, ()):
            said = f"{'✗' if each.problem else '✓'} {each.what}{f': {each.problem}' if each.problem else ''}"
            _below(said, width, fg="red" if each.problem else "green")


def _below(text: str, width: int, **style: Any) -> None:
    for line in wrapped(readable(text), width - 4):
        click.secho(f"    {line}", **style)

"""``deepdream plugins``: which there are, on or off, and why; whether they are right."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import FAILED, LazyGroup
from deepdream_daemon.commands.shared import config_option, json_option, print_json, wrapped
from deepdream_daemon.terminal.messages import readable
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_plugins.hosting.checking import Checked
    from deepdream_plugins.hosting.host import PluginHost, PluginInfo

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
    host, disabled = _host(config)
    checks: dict[str, Sequence[Checked]] = {}
    if check:
        from deepdream_plugins.hosting.checking import check_plugin

        strangers = [plugin.name for plugin in host.plugins if plugin.origin != "built-in" and plugin.state == "active"]
        for number, name in enumerate(strangers, 1):
            if sys.stderr.isatty():
                click.echo(f"checking {name} ({number} of {len(strangers)})", err=True)
            checks[name] = check_plugin(host, name)
    found = [_as_in_the_daemon(plugin, disabled) for plugin in host.plugins]
    if as_json:
        print_json([asdict(plugin) | _told(checks.get(plugin.name)) for plugin in found])
    else:
        _print(found, checks)
    failed = sum(plugin.state == "failed" for plugin in found)
    if check and failed and not as_json:
        click.echo(f"\n{failed} plugin{'s' * (failed > 1)} failed to load, see above.")
    elif check and not checks and not as_json:
        click.echo("\nThere is nothing to check: only built-in plugins are active.")
    is_bad = failed or any(each.problem for checked in checks.values() for each in checked)
    return FAILED if check and is_bad else 0


def _host(config: Path | None) -> tuple[PluginHost, Mapping[str, str]]:
    """Return the host of a configuration, and the plugins that the daemon which works by it has disabled.

    Nothing else of the configuration is looked at, since this is where everybody is sent whose recipe or sink is not
    to be had; and a plugin that it names in vain is one that has failed.
    """
    import sqlite3

    from deepdream_daemon.configuration.assembly import selection_of
    from deepdream_daemon.configuration.config import default_settings, find_config, parse_settings
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running.lock import running_pid
    from deepdream_plugins.catalogue import load_catalogue
    from deepdream_plugins.toml_source import TomlSource

    path = find_config(config)
    if path is None:
        return load_catalogue(selection_of(default_settings())).host, {}
    source = TomlSource.read(path)
    settings = parse_settings(source, path, folders_must_exist=False)
    host = load_catalogue(selection_of(settings), source.where, lenient=True).host
    if running_pid(settings.state) is None:
        return host, {}
    try:
        with closing(Journal.open(settings.state, read_only=True)) as journal:
            return host, journal.disabled_plugins()
    except (DeepDreamError, OSError, sqlite3.Error):  # it is another version's
        return host, {}


def _as_in_the_daemon(plugin: PluginInfo, disabled: Mapping[str, str]) -> PluginInfo:
    if plugin.state != "active" or plugin.name not in disabled:
        return plugin
    return replace(plugin, state="disabled", reason=disabled[plugin.name])


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
        if plugin.origin == "built-in" and plugin.state == "active" and not plugin.note:
            continue
        if plugin.source and not plugin.reason.startswith(plugin.source):  # which says it already
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

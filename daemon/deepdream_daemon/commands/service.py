"""``deepdream service``: have the operating system run the daemon, whenever the machine starts or the user logs in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.shared import (
    config_option,
    explain_unless_called,
    json_option,
    print_fields,
    print_json,
)
from deepdream_daemon.terminal.messages import readable
from deepdream_engine.errors import BadOption, DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.service.wanted import Scope

NOT_RUNNING, NOT_INSTALLED = 3, 4
"""Exit codes of ``status``, as systemctl's are."""


@click.group(invoke_without_command=True)
@click.pass_context
def service(ctx: click.Context) -> None:
    """Have the operating system run the daemon.

    It uses systemd on Linux and launchd on macOS.

    \b
    deepdream service install             as a service of yours, for a desktop
    deepdream service install --system    as one of the machine, for a server (as root)
    deepdream service install --dry-run   only show what would be written and done
    """
    explain_unless_called(ctx)


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--user``, ``--system`` and ``--name``, passed on as ``scope`` and ``name``."""
    for option in (
        click.option("--name", default="deepdream", show_default=True, help="What the service is called."),
        click.option("--system", "scope", flag_value="system", help="A service of the machine."),
        click.option("--user", "scope", flag_value="user", default="user", help="A service of yours.  [default]"),
    ):
        command = option(command)
    return command


@service.command()
@_scope_options
@config_option
@click.option("--run-as", metavar="USER", help="Whose rights a service of the machine has; default: the file's owner.")
@click.option("--dry-run", is_flag=True, help="Write and start nothing, show it.")
def install(scope: Scope, name: str, config: Path | None, run_as: str | None, dry_run: bool) -> None:
    """Write the service's file, and start it.

    From then on it is started whenever the machine starts, or you log in. A file that is there already is replaced only
    if this command wrote it and nobody has changed it since.
    """
    from deepdream_daemon.configuration.config import find_config
    from deepdream_daemon.service.access import check_access
    from deepdream_daemon.service.installing import check_other, check_rights, home_of, make_state, user_for
    from deepdream_daemon.service.manager import manager_for, take
    from deepdream_daemon.service.ours import check_ours, write
    from deepdream_daemon.service.wanted import Wanted, checked_name

    manager = manager_for(scope, only_to_show=dry_run)
    path = find_config(config)
    if path is None:
        raise BadOption("the service needs a configuration. Make one: deepdream init, or name it: --config.")
    path = path.absolute()
    user = user_for(path, run_as) if scope == "system" else ""
    if run_as is not None and scope == "user":
        raise BadOption(f"--run-as: a service of yours runs with your rights. Say --system, or leave {run_as!r} out.")
    place, steps = manager.path(checked_name(name)), manager.to_install(name)
    with home_of(user):
        wanted = Wanted(name=name, scope=scope, settings=_settings(path, scope), user=user)
        text, needs = manager.text(wanted), manager.needs(wanted)
    if dry_run:
        click.echo(f"# {readable(place)}")
        click.echo(text)
        click.echo("\n".join(["# Then:", *map(str, steps)]))
        _tell(needs)
        return
    check_rights(scope, name, path, run_as)
    check_other(manager, name, path)
    check_ours(place)
    if user:
        check_access(wanted)
    make_state(wanted.settings.state, user)
    _tell(needs)  # before it begins, which may fail for want of just that
    write(place, text)
    take(steps)
    click.echo(f"Installed and started: {readable(place)}")
    for note in manager.notes(wanted):
        click.echo(readable(note))


@service.command()
@_scope_options
def uninstall(scope: Scope, name: str) -> None:
    """Stop the service and remove its file.

    Pictures, journal and configuration stay.
    """
    from deepdream_daemon.service.installing import check_rights
    from deepdream_daemon.service.manager import manager_for, take
    from deepdream_daemon.service.ours import check_ours, remove, state_of
    from deepdream_daemon.service.wanted import checked_name

    manager = manager_for(scope)
    place = manager.path(checked_name(name))
    if state_of(place) == "absent":
        raise DeepDreamError(
            f"There is no service {name!r} {_of(scope)}: {str(place)!r} does not exist.{_other(scope)}"
        )
    check_ours(place)
    check_rights(scope, name)
    before, after = manager.to_uninstall(name)
    take(before)
    remove(place)
    take(after)
    click.echo(f"Stopped and removed: {readable(place)}")


@service.command()
@_scope_options
@json_option
def status(scope: Scope, name: str, as_json: bool) -> int:
    """Tell how the service is.

    Exits with 3 if it does not run, with 4 if it is not installed.
    """
    from deepdream_daemon.service.manager import manager_for
    from deepdream_daemon.service.wanted import checked_name

    manager = manager_for(scope)
    found = manager.status(checked_name(name))
    place = manager.path(name)
    if as_json:
        print_json({"name": name, "scope": scope, "file": place, "config": manager.config_of(name), **asdict(found)})
    elif not found.installed:
        words = "deepdream service install --system" if scope == "system" else "deepdream service install"
        click.echo(f"There is no service {name!r} {_of(scope)}; install it: {words}.{_other(scope)}")
    else:
        print_fields(
            {
                "service": f"{name} {_of(scope)}, {found.state}",
                "does": found.text,
                "process": found.pid,
                "since": found.since if found.running else None,
                "restarts": found.restarts or None,
                "starts": "by itself" if found.enabled else "only when it is asked to",
                "config": manager.config_of(name),
                "file": place,
            }
        )
    if found.running:
        return 0
    return NOT_RUNNING if found.installed else NOT_INSTALLED


def _tell(needs: Sequence[str]) -> None:
    for need in needs:
        click.echo(readable(need), err=True)


def _of(scope: Scope) -> str:
    return "of the machine" if scope == "system" else "of yours"


def _other(scope: Scope) -> str:
    return " For one of yours leave --system out." if scope == "system" else " For one of the machine say --system."


def _settings(path: Path, scope: Scope) -> Settings:
    """Read the configuration; what plugins have to say about it is left to the daemon, which has not root's rights."""
    from deepdream_daemon.configuration.config import parse_settings
    from deepdream_daemon.service.installing import check_disposal
    from deepdream_plugins.toml_source import TomlSource

    source = TomlSource.read(path)
    settings = parse_settings(source, path)
    if not settings.folders:
        raise BadOption(f'{path}: no folder is watched. Add [[folders]], and below it input = "in" and output = "out".')
    check_disposal(scope, settings, source.where)
    return settings

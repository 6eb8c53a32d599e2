"""Whatever keeps services running here: systemd on Linux, launchd on macOS."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deepdream_daemon.service.wanted import Scope, Wanted
from deepdream_engine.errors import DeepDreamError

COMMAND_SECONDS = 150.0
"""Starting waits until the daemon is ready; the manager's own limit is shorter."""


class CommandFailed(DeepDreamError):
    """The manager's command did not do it."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command of the manager; ``may_fail`` if it says no where there is nothing to do."""

    command: tuple[str, ...]
    may_fail: bool = False

    def __str__(self) -> str:
        return shlex.join(self.command)


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """``state`` is the manager's word for how it is; ``text`` what the daemon says of itself."""

    installed: bool
    enabled: bool
    running: bool
    state: str
    pid: int | None = None
    text: str | None = None
    restarts: int | None = None
    since: str | None = None


class Manager(Protocol):
    """Files and commands for services of one ``scope``."""

    scope: Scope

    def path(self, name: str) -> Path:
        """Return where the file of the service is."""

    def text(self, wanted: Wanted) -> str:
        """Return what the file of the service says."""

    def config_of(self, name: str) -> str | None:
        """Return the configuration that an installed service names, as it is written there, if it can be told."""

    def written_config(self, config: Path) -> str:
        """Return ``config`` as :meth:`config_of` would."""

    def to_install(self, name: str) -> Sequence[Step]:
        """Return what is done once its file is written."""

    def to_uninstall(self, name: str) -> tuple[Sequence[Step], Sequence[Step]]:
        """Return what is done before and after its file is removed."""

    def status(self, name: str) -> ServiceStatus:
        """Return how the service is."""

    def needs(self, wanted: Wanted) -> Sequence[str]:
        """Return what the service does not have yet and cannot do without, and how it gets it, a line each."""

    def notes(self, wanted: Wanted) -> Sequence[str]:
        """Return what is worth knowing about a service that was installed, a line each."""


def manager_for(scope: Scope, *, only_to_show: bool = False) -> Manager:
    """Return the manager of this machine; raises :class:`DeepDreamError` if there is none that can be used, unless it
    is ``only_to_show`` what it would get."""
    if sys.platform == "darwin":
        from deepdream_daemon.service.launchd import Launchd

        return Launchd(scope)
    if sys.platform != "linux":
        raise DeepDreamError(
            f"Services are made for systemd and launchd, not for {sys.platform!r}. Have your service manager run "
            "'deepdream run', which stays in the foreground."
        )
    from deepdream_daemon.service.systemd import Systemd

    if not only_to_show and not Systemd.runs_here():
        raise DeepDreamError(
            "systemd does not manage this machine. In a container let 'deepdream run' be its command; elsewhere have "
            "your service manager run it, it stays in the foreground. See the unit: deepdream service install --dry-run"
        )
    return Systemd(scope)


def take(steps: Sequence[Step]) -> None:
    """Run the commands one after the other; raises :class:`CommandFailed` at the first that fails."""
    for step in steps:
        done = run(step.command)
        if done.returncode and not step.may_fail:
            said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
            raise CommandFailed(f"{step} failed: {said}")


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the manager and return what it said."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no {command[0]!r} here") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{shlex.join(command)} was not done within {COMMAND_SECONDS:.0f} s") from error

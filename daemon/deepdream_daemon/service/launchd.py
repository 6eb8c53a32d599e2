"""launchd: property lists, and ``launchctl``. A user's service is a LaunchAgent, the system's a LaunchDaemon."""

from __future__ import annotations

import os
import plistlib
import re
from collections.abc import Sequence
from pathlib import Path
from xml.parsers.expat import ExpatError

from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.service.manager import ServiceStatus, Step, run
from deepdream_daemon.service.ours import mark
from deepdream_daemon.service.wanted import Scope, Wanted, checked_text, status_command

THROTTLE_SECONDS = 30
EXIT_SECONDS = 30
"""It promises to end within 15; then it is killed."""
_ROW = re.compile(r"^\s*(pid|state|last exit code) = (.*)$", re.MULTILINE)


class Launchd:
    """Services of the system, or of the user that asks."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope

    def path(self, name: str) -> Path:
        """Return where the property list is."""
        base = Path("/") if self.scope == "system" else Path.home()
        kind = "LaunchDaemons" if self.scope == "system" else "LaunchAgents"
        return base / "Library" / kind / f"{_label(name)}.plist"

    def log(self, name: str) -> Path:
        """Return where its log is; launchd appends to it."""
        return (Path("/") if self.scope == "system" else Path.home()) / "Library/Logs" / f"{name}.log"

    def text(self, wanted: Wanted) -> str:
        """Return the property list."""
        log = checked_text(os.fspath(self.log(wanted.name)))
        entries: dict[str, object] = {
            "Label": _label(wanted.name),
            "ProgramArguments": [checked_text(each) for each in wanted.command],
            # Nothing is imported from the folder that it happens to be started in; a crash shows where it was.
            "EnvironmentVariables": {"PYTHONSAFEPATH": "1", "PYTHONFAULTHANDLER": "1"},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": THROTTLE_SECONDS,
            "ExitTimeOut": EXIT_SECONDS,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        if self.scope == "system":
            entries |= {"UserName": checked_text(wanted.user), "Umask": 0o027}
        written = plistlib.dumps(entries, sort_keys=False).decode()
        head, doctype, body = written.partition("<plist ")
        return f"{head}<!-- {mark(written)} -->\n{doctype}{body}"

    def config_of(self, name: str) -> str | None:
        """Return the configuration that the property list names."""
        try:
            entries = plistlib.loads(self.path(name).read_bytes())
            return str(entries["ProgramArguments"][-1])
        except (OSError, ValueError, KeyError, IndexError, TypeError, ExpatError):
            return None

    def written_config(self, config: Path) -> str:
        """Return ``config`` as :meth:`config_of` would."""
        return os.fspath(config)

    def to_install(self, name: str) -> Sequence[Step]:
        """Begin at once, and whenever the machine starts or the user logs in; begin anew if it runs already."""
        return [
            Step(command=("launchctl", "bootout", self._target(name)), may_fail=True),
            Step(command=("launchctl", "enable", self._target(name))),
            Step(command=("launchctl", "bootstrap", self._domain, os.fspath(self.path(name)))),
        ]

    def to_uninstall(self, name: str) -> tuple[Sequence[Step], Sequence[Step]]:
        """End it first."""
        return [Step(command=("launchctl", "bootout", self._target(name)), may_fail=True)], []

    def status(self, name: str) -> ServiceStatus:
        """Return how it is, as ``launchctl print`` tells."""
        done = run(("launchctl", "print", self._target(name)))
        shown: dict[str, str] = {}
        for key, value in _ROW.findall(done.stdout):
            shown.setdefault(key, value)  # those of the service come before those of its parts
        is_loaded = done.returncode == 0
        state = shown.get("state", "not loaded")
        if "last exit code" in shown and state != "running":
            state += f", last exit code {shown['last exit code']}"
        return ServiceStatus(
            installed=self.path(name).is_file(),
            enabled=is_loaded,
            running=shown.get("state") == "running",
            state=state,
            pid=int(shown["pid"]) if shown.get("pid", "").isdecimal() else None,
        )

    def needs(self, wanted: Wanted) -> Sequence[str]:
        """Return what the service does not have yet and cannot do without, and how it gets it, a line each."""
        setting = "; ".join(f"launchctl setenv {name} VALUE" for name in wanted.environment)
        if not setting:
            return []
        return [f"The service has no environment variables of yours, and sinks name some: {setting}; at each start."]

    def notes(self, wanted: Wanted) -> Sequence[str]:
        """Return how to look after it."""
        return [f"What it does: {status_command(wanted)}, tail -F {shell_path(self.log(wanted.name))}"]

    @property
    def _domain(self) -> str:
        return "system" if self.scope == "system" else f"gui/{os.getuid()}"

    def _target(self, name: str) -> str:
        return f"{self._domain}/{_label(name)}"


def _label(name: str) -> str:
    return f"local.{name}"

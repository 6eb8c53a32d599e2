"""systemd: unit files, and ``systemctl``."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepdream_daemon.service.manager import CommandFailed, ServiceStatus, Step, run
from deepdream_daemon.service.ours import mark
from deepdream_daemon.service.unit_text import TEMPLATES, argument, filled, program, word
from deepdream_daemon.service.wanted import Scope, Wanted, checked_text, status_command

NOTIFY_RELOAD_SINCE = 253
"""The first version that knows ``Type=notify-reload``."""
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPS = (Path("/tmp"), Path("/var/tmp"))
STATES = Path("/var/lib")
_SIMPLE = re.compile(r"[A-Za-z0-9_./-]+")
_CONFIG = re.compile(r"^ExecStart=.* --config (.*)$", re.MULTILINE)
_SHOWN = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "StatusText", "NRestarts")
_SINCE = "ActiveEnterTimestamp"


class Systemd:
    """Services of the system, or of the user that asks."""

    def __init__(self, scope: Scope, version: int | None = None) -> None:
        self.scope: Scope = scope
        self._version = version_here() if version is None else version

    @staticmethod
    def runs_here() -> bool:
        """Tell whether systemd is this machine's init; see sd_booted(3)."""
        return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None

    def path(self, name: str) -> Path:
        """Return where the unit is."""
        if self.scope == "system":
            return Path("/etc/systemd/system", f"{name}.service")
        base = os.environ.get("XDG_CONFIG_HOME", "")
        return Path(base if base.startswith("/") else Path.home() / ".config", "systemd/user", f"{name}.service")

    def text(self, wanted: Wanted) -> str:
        """Return the unit."""
        reloads = self._version >= NOTIFY_RELOAD_SINCE
        values = {
            "NAME": wanted.name,
            "TYPE": "notify-reload" if reloads else "notify",
            "RELOAD": "" if reloads else "ExecReload=/bin/kill -HUP $MAINPID",
            "COMMAND": " ".join([program(wanted.python), *map(argument, wanted.command[1:])]),
        }
        if self.scope == "system":
            values |= _confined(wanted)
        unit = filled((TEMPLATES / f"{self.scope}.service").read_text(encoding="utf-8"), values)
        return f"# {mark(unit)}\n{unit}"

    def config_of(self, name: str) -> str | None:
        """Return the configuration that the unit names, as it is written there."""
        try:
            found = _CONFIG.search(self.path(name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None
        return found and found[1]

    def written_config(self, config: Path) -> str:
        """Return ``config`` as :meth:`config_of` would."""
        return argument(os.fspath(config))

    def to_install(self, name: str) -> Sequence[Step]:
        """Begin at once, and whenever the machine starts or the user logs in; begin anew if it runs already."""
        return [Step(command=self._ctl(*words)) for words in (("daemon-reload",), ("enable", name), ("restart", name))]

    def to_uninstall(self, name: str) -> tuple[Sequence[Step], Sequence[Step]]:
        """End it first, as its unit says how."""
        before = [Step(command=self._ctl("disable", "--now", name), may_fail=True)]
        after = [Step(command=self._ctl("daemon-reload")), Step(command=self._ctl("reset-failed", name), may_fail=True)]
        return before, after

    def status(self, name: str) -> ServiceStatus:
        """Return how it is, as ``systemctl show`` tells."""
        done = run(self._ctl("show", f"{name}.service", f"--property={','.join((*_SHOWN, _SINCE))}"))
        if done.returncode:
            raise CommandFailed(f"systemctl cannot tell: {' '.join(done.stderr.split())}. {self._advice()}")
        shown = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        pid = int(shown.get("MainPID") or 0)
        return ServiceStatus(
            installed=shown.get("LoadState") == "loaded",
            enabled=shown.get("UnitFileState", "").startswith("enabled"),
            running=shown.get("ActiveState") in {"active", "reloading"},
            state=f"{shown.get('ActiveState', 'unknown')} ({shown.get('SubState', 'unknown')})",
            pid=pid or None,
            text=shown.get("StatusText") or None,
            restarts=int(shown.get("NRestarts") or 0),
            since=shown.get(_SINCE) or None,
        )

    def needs(self, wanted: Wanted) -> Sequence[str]:
        """Return what the service does not have yet and cannot do without, and how it gets it, a line each."""
        ctl, needed = shlex.join(self._ctl()), []
        if wanted.environment:
            needed.append(
                f"The service has no environment variables of yours, and sinks name {', '.join(wanted.environment)}: "
                f"write NAME=VALUE lines into a file that only you may read, and name it: {ctl} edit {wanted.name}, "
                f"[Service], EnvironmentFile=FILE; then: {ctl} restart {wanted.name}"
            )
        if self.scope == "system":
            needed += [
                f"A sink names {os.fspath(path)!r}, which is not there. When it is, let the service write to it: {ctl} "
                f"restart {wanted.name}"
                for path in wanted.of_sinks
                if not path.exists()
            ]
        return needed

    def notes(self, wanted: Wanted) -> Sequence[str]:
        """Return how to look after it."""
        name, scope = wanted.name, " --user" if self.scope == "user" else ""
        told = [
            f"What it does: {status_command(wanted)}, journalctl{scope} -fu {name}",
            f"Settings of your own for the unit: systemctl{scope} edit {name}",
        ]
        if scope:
            told.append("It runs while you are logged in. To have it run always: loginctl enable-linger")
        else:
            told.append(
                "It may write only where the configuration said when it was installed: install it again when other "
                "folders are added."
            )
        return told

    def _ctl(self, *words: str) -> tuple[str, ...]:
        return ("systemctl", "--user", *words) if self.scope == "user" else ("systemctl", *words)

    def _advice(self) -> str:
        if self.scope == "system":
            return "Look at: systemctl status"
        return "Log in as the user whose service it is; with sudo or su there is no session for it."


def version_here() -> int:
    """Return the version of systemd, 0 if there is none."""
    if shutil.which("systemctl") is None:
        return 0
    found = re.match(r"systemd (\d+)", run(["systemctl", "--version"]).stdout)
    return int(found[1]) if found else 0


def _confined(wanted: Wanted) -> dict[str, str]:
    """Return where the service of the system may write, and what it need not see."""
    state = wanted.settings.state
    shares_temps = _any_below(wanted.used, TEMPS)
    values = {
        "USER": checked_text(wanted.user),
        "HOME": "read-only" if _any_below(wanted.used, HOMES) else "yes",
        "TMP": "no" if shares_temps else "yes",
        "PREPARE": "",
        "STATE": "",
    }
    # Where it has no folders of its own for temporary files, it writes to everybody's.
    writes = [*wanted.written, *(TEMPS if shares_temps else ())]
    if state != STATES and state.is_relative_to(STATES) and _SIMPLE.fullmatch(os.fspath(state)):
        values["STATE"] = f"StateDirectory={state.relative_to(STATES)}\nStateDirectoryMode=0700"
    else:
        writes.insert(0, state)
    # What is not there is left out: the daemon tells of it in words, where systemd would only refuse to start it.
    values["WRITES"] = " ".join(word(f"-{path}") for path in writes)
    tool = shutil.which("nvidia-modprobe", path="/usr/bin:/usr/sbin:/bin:/sbin")
    if tool is not None and wanted.settings.engine.device != "cpu":
        # CUDA starts it to make the GPU's device files, in vain where no new rights are to be had.
        values["PREPARE"] = f"ExecStartPre=+-{word(tool)} -c 0 -u"
    return values


def _any_below(paths: Iterable[Path], folders: Iterable[Path]) -> bool:
    folders = tuple(folders)
    return any(path.is_relative_to(folder) for path in paths for folder in folders)

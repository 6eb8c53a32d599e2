"""``deepdream service``: what is written for systemd and launchd, and that nobody's files are touched."""

from __future__ import annotations

import json
import os
import plistlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import load_settings, write_template
from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.service.launchd import Launchd
from deepdream_daemon.service.manager import manager_for
from deepdream_daemon.service.ours import state_of, write
from deepdream_daemon.service.systemd import Systemd
from deepdream_daemon.service.unit_text import TEMPLATES, argument, filled, word
from deepdream_daemon.service.wanted import Wanted
from deepdream_engine.errors import BadOption, DeepDreamError
from tests.daemon.cli import deepdream, nowhere
from tests.tools import lacking

__all__ = ["nowhere"]

ODD = 'odd "place" 100% $HOME \\n it\'s; #1'
ME = pwd.getpwuid(os.getuid()).pw_name

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> {calls}
case "$*" in
  --version) echo "systemd {version} (test)" ;;
  *show*) cat {shown} ;;
  *restart*) {restart} ;;
esac
"""


def wanted(place: Path, scope: str = "user", **changes: object) -> Wanted:
    """A service for a fresh configuration in the folder ``place``."""
    settings = write_template(place)
    return Wanted(
        name="deepdream",
        scope="system" if scope == "system" else "user",
        settings=replace(settings, **changes),  # type: ignore[arg-type]
        user="daemon" if scope == "system" else "",
    )


def values(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


@pytest.mark.parametrize("scope", ["user", "system"])
def test_the_unit_watches_and_restarts_as_promised(tmp_path: Path, scope: str) -> None:
    service = wanted(tmp_path / "place", scope)
    unit = Systemd(service.scope, version=253).text(service)
    assert values(unit, "Type") == ["notify-reload"]
    assert values(unit, "ExecReload") == []
    expected = {"WatchdogSec": "60", "KillMode": "mixed", "Restart": "on-failure", "OOMPolicy": "continue"}
    assert {name: values(unit, name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert "@" not in re.sub(r"@(system-service|privileged)", "", unit), "nothing is left of the template"
    older = Systemd(service.scope, version=252).text(service)
    assert values(older, "Type") == ["notify"]
    assert values(older, "ExecReload") == ["/bin/kill -HUP $MAINPID"]


def of_the_machine(*folders: FolderSettings, state: str = "/var/lib/deepdream") -> Wanted:
    """A service none of whose places is one for temporary files, but for what ``folders`` say."""
    settings = Settings(path=Path("/etc/deepdream/config.toml"), state=Path(state), folders=folders)
    return Wanted(name="deepdream", scope="system", settings=settings, user="daemon", python=Path("/usr/bin/python3"))


def test_the_system_s_unit_writes_where_the_configuration_says_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    folder = FolderSettings(
        input=Path("/srv/in"), output=Path("/srv/my out"), source="move", processed=Path("/srv/done")
    )
    kept = FolderSettings(input=Path("/srv/kept"), output=Path("/srv/my out"))
    unit = Systemd("system", version=253).text(of_the_machine(folder, kept, state="/var/lib/deepdream/one"))
    (writes,) = values(unit, "ReadWritePaths")
    assert writes == '"-/srv/my out" -/srv/in -/srv/done'
    assert values(unit, "StateDirectory") == ["deepdream/one"]
    assert values(unit, "UMask") == ["0027"]
    assert values(unit, "ProtectSystem") == ["strict"]
    assert values(unit, "User") == ["daemon"]
    assert values(unit, "PrivateTmp") == ["yes"]
    for hidden in ("PrivateDevices", "MemoryDenyWriteExecute", "ProtectClock"):
        assert values(unit, hidden) == [], "the GPU is to be seen, and kernels may be compiled"


def test_the_system_s_unit_lets_sinks_write_where_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COPIES", str(tmp_path / "named"))
    (tmp_path / "there").mkdir()
    (tmp_path / "font.ttf").touch()
    output = tmp_path / "folders" / "out"
    copies: list[str] = [
        str(tmp_path / "there"),
        "file:///srv/away",
        "~/mine",
        "../beside",
        "${COPIES}/below",
        "s3://bucket/in",
        "inside",
        str(tmp_path / "font.ttf"),
        "/",
    ]
    sinks = ("contact_sheet", *({"name": "copy", "url": url, "key": "{path}"} for url in copies))
    nested = {"name": "theirs", "to": ["/srv/one", {"path": "/srv/two"}]}
    folder = FolderSettings(input=tmp_path / "in", output=output, sinks=(*sinks, nested))
    service = of_the_machine(folder)
    (writes,) = values(Systemd("system", version=253).text(service), "ReadWritePaths")
    allowed: list[Path | str] = [
        output,
        tmp_path / "there",
        "/srv/away",
        tmp_path / "home" / "mine",
        tmp_path / "folders" / "beside",
    ]
    allowed += [tmp_path / "named" / "below", "/srv/one", "/srv/two"]
    found = [path.removeprefix("-") for path in writes.split()]
    assert [path for path in found if path not in {"/tmp", "/var/tmp"}] == list(map(str, allowed))
    told = Systemd("system", version=253).needs(service)
    assert "sinks name COPIES: " in told[0]
    assert "systemctl edit deepdream, [Service], EnvironmentFile=FILE" in told[0]
    away = [line for line in told if "'/srv/away', which is not there" in line]
    assert away[0].endswith("systemctl restart deepdream")
    assert not any(str(tmp_path / "there") in line for line in told)
    of_yours = Systemd("user", version=253).needs(service)
    assert [("COPIES" in line, "systemctl --user edit" in line) for line in of_yours] == [(True, True)]
    assert "launchctl setenv COPIES VALUE" in Launchd("user").needs(service)[0]


def test_home_in_a_sink_s_option_is_that_of_the_user_whom_the_service_runs_as(
    tmp_path: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "place" / "config.toml"
    write_template(config.parent)
    text = config.read_text().replace("sinks = [] ", 'sinks = [{ name = "copy", url = "~/copies" }] ')
    config.write_text(text)
    monkeypatch.setenv("HOME", "/somebody/else")
    shown = deepdream("service", "install", "--system", "--run-as", ME, "--dry-run", "--config", config)
    assert shown.exit_code == 0, shown.stderr
    (writes,) = values(shown.stdout, "ReadWritePaths")
    assert f"-{Path(pwd.getpwnam(ME).pw_dir).resolve()}/copies" in writes


def test_a_service_of_the_machine_with_a_trash_is_refused_with_a_better_way(
    tmp_path: Path, systemd: FakeSystemd
) -> None:
    config = tmp_path / "place" / "config.toml"
    write_template(config.parent)
    config.write_text(config.read_text().replace('source = "keep"', 'source = "trash"'))
    line = config.read_text()[: config.read_text().index('source = "trash"')].count("\n") + 1
    refused = deepdream("service", "install", "--system", "--run-as", ME, "--dry-run", "--config", config)
    assert refused.exit_code == 2
    for part in (f"config.toml:{line}: folders[0].source", 'source = "move"', "without --system"):
        assert part in refused.stderr
    assert deepdream("service", "install", "--dry-run", "--config", config).exit_code == 0


@pytest.mark.parametrize(("place", "own"), [("/srv/in", True), ("/tmp/in", False), ("/var/tmp/in", False)])
def test_there_is_always_a_place_for_temporary_files(place: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    folder = FolderSettings(input=Path(place), output=Path("/srv/out"))
    service = of_the_machine(folder)
    unit = Systemd("system", version=253).text(service)
    assert values(unit, "PrivateTmp") == ["yes" if own else "no"]
    writes = values(unit, "ReadWritePaths")[0].split()
    assert ("-/tmp" in writes, "-/var/tmp" in writes) == (not own, not own), "strict is read-only, also for these"


@pytest.mark.parametrize(("place", "home"), [("/srv/state", "yes"), ("/home/me/state", "read-only")])
def test_homes_are_hidden_unless_something_of_it_is_there(tmp_path: Path, place: str, home: str) -> None:
    service = wanted(tmp_path / "place", "system", state=Path(place))
    others = set(service.used) - {Path(place)}
    if any(path.is_relative_to(home) for path in others for home in ("/home", "/root")):
        pytest.skip("this very test lies in a home")
    unit = Systemd("system", version=253).text(service)
    assert values(unit, "ProtectHome") == [home]
    assert place in values(unit, "ReadWritePaths")[0]


def test_names_that_no_unit_can_hold_are_refused(tmp_path: Path) -> None:
    for name in ("new\nline", os.fsdecode(b"not \xff text")):
        with pytest.raises(BadOption, match="Rename it"):
            word(name)
    assert word("/plain/path") == "/plain/path"
    assert word("50%") == '"50%%"'
    assert argument("$HOME") == '"$$HOME"'


def analyze() -> str:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        lacking("systemd", "there is no systemd-analyze")
    return tool


@pytest.mark.parametrize("scope", ["user", "system"])
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path, scope: str) -> None:
    tool = analyze()
    service = wanted(tmp_path / ODD, scope)
    unit = tmp_path / "deepdream-test.service"
    unit.write_text(Systemd(service.scope).text(service))
    manager = ["--user"] if scope == "user" else []
    done = subprocess.run(
        [tool, "verify", *manager, "--man=no", unit],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    about_it = [line for line in done.stderr.splitlines() if "deepdream-test" in line]
    assert (done.returncode, about_it) == (0, []), done.stderr


def as_read_by_systemd(unit: str) -> str:
    """Return how systemd has understood ``unit``: in test mode it tells, and starts nothing."""
    systemd = Path("/lib/systemd/systemd")
    is_root = os.geteuid() == 0
    if not systemd.exists():
        lacking("systemd", "there is no systemd")
    if is_root and shutil.which("setpriv") is None:
        lacking("setpriv", "there is no setpriv to call systemd as somebody else than root")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "run").mkdir(mode=0o700)
        (place / "units").mkdir()
        (place / "units" / "probe.service").write_text(unit)
        for path in (place, *place.rglob("*")) if is_root else ():
            os.chown(path, 65534, 65534)
        done = subprocess.run(
            [
                *(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if is_root else []),
                *(systemd, "--user", "--test", "--unit=probe.service"),
            ],
            env={
                "SYSTEMD_UNIT_PATH": f"{place / 'units'}:/usr/lib/systemd/user",
                "XDG_RUNTIME_DIR": str(place / "run"),
                "HOME": folder,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"-> Unit probe\.service:\n(.*?)(?=\t-> Unit |\Z)", done.stdout, re.DOTALL)
    if found is None:
        lacking("systemd", f"its test mode does not work here: {done.stderr[-300:]}")
    return found[1]


def test_systemd_reads_paths_as_they_were_meant(tmp_path: Path) -> None:
    service = wanted(tmp_path / ODD)
    python = Path("/opt/odd 100% $HOME; #1/python")
    unit = Systemd("user", version=252).text(replace(service, python=python))
    write_paths = "\n".join(["ProtectSystem=strict", f"ReadWritePaths={word(f'-/x/{ODD}')} {word('-/y')}"])
    read = as_read_by_systemd(unit.replace("NoNewPrivileges=yes", write_paths))
    # Quoted for a shell, but for the executable; "$$" becomes "$" when it is started.
    (start,) = re.findall(r"-> ExecStart:\n\s*Command Line: (.*)", read)
    assert start.endswith(f" --config {quoted(str(service.config))}")
    assert "odd 100% $HOME; #1/python" in start.replace("\\$", "$")
    (paths,) = re.findall(r"ReadWritePaths: (.*)", read)
    assert paths == f"-/x/{ODD} -/y"


def quoted(text: str) -> str:
    """Return ``text`` as systemd shows it in a command line, its ``$`` still doubled."""
    escaped = re.sub(r'(["\\$])', r"\\\1", text.replace("$", "$$"))
    return f'"{escaped}"'


def test_an_interpreter_that_systemd_would_not_start_is_refused(tmp_path: Path) -> None:
    for name in ('a"b', "a'b", "a\\b"):
        service = replace(wanted(tmp_path / f"place{len(name)}{ord(name[1])}"), python=Path("/opt", name, "python"))
        with pytest.raises(BadOption, match="Move the virtual environment"):
            Systemd("user", version=252).text(service)


@pytest.mark.parametrize("home", ["/srv", "/home/me"])
def test_the_system_s_unit_is_ok_or_better_to_systemd_analyze_security(tmp_path: Path, home: str) -> None:
    tool = analyze()
    folder = FolderSettings(input=Path(home, "in"), output=Path(home, "out"))
    service = wanted(tmp_path / "place", "system", folders=(folder,), state=Path(home, "state"))
    unit = tmp_path / "deepdream-test.service"
    unit.write_text(Systemd("system").text(service))
    command = [tool, "security", "--offline=true", "--no-pager", "--threshold=49", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"exposure level for \S+: ([\d.]+) (\w+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= 4.9
    assert found[2] in {"OK", "SAFE", "PERFECT"}


@pytest.mark.parametrize("scope", ["user", "system"])
def test_the_property_list_says_the_same_to_launchd(tmp_path: Path, scope: str) -> None:
    service = wanted(tmp_path / ODD, scope)
    manager = Launchd(service.scope)
    text = manager.text(service)
    entries = plistlib.loads(text.encode())
    assert entries["ProgramArguments"] == list(service.command)
    assert entries["ProgramArguments"][-1] == str(tmp_path / ODD / "config.toml")
    assert entries["KeepAlive"] == {"SuccessfulExit": False}
    assert (entries["RunAtLoad"], entries["ThrottleInterval"]) == (True, 30)
    assert entries.get("UserName") == ("daemon" if scope == "system" else None)
    assert entries.get("Umask") == (0o027 if scope == "system" else None)
    where = manager.path("deepdream")
    assert where.parent.name == ("LaunchDaemons" if scope == "system" else "LaunchAgents")
    path = tmp_path / "x.plist"
    write(path, text)
    assert state_of(path) == "ours"


@pytest.mark.parametrize("text", ["[Unit]\n", "", "<plist/>"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deepdream.service"
    path.write_text(text)
    with pytest.raises(DeepDreamError, match="was not written by 'deepdream service install'"):
        write(path, "new")
    assert path.read_text() == text


def test_a_file_that_was_changed_by_hand_and_a_link_are_left_alone(tmp_path: Path) -> None:
    service = wanted(tmp_path / "place")
    path = tmp_path / "units" / "deepdream.service"
    unit = Systemd("user", version=253).text(service)
    write(path, unit)
    assert path.stat().st_mode & 0o777 == 0o644
    write(path, unit.replace("# ", "# ", 1))
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.write_text(unit.replace("RestartSec=10", "RestartSec=1"))
    with pytest.raises(DeepDreamError, match="was changed by hand"):
        write(path, unit)
    path.unlink()
    path.symlink_to("/dev/null")  # systemctl mask
    with pytest.raises(DeepDreamError, match="was not written by"):
        write(path, unit)
    assert path.is_symlink()


def test_a_template_with_an_unknown_name_is_a_defect() -> None:
    assert filled("a=@A@\n@B@\n\n# @system-service\n", {"A": "1", "B": ""}) == "a=1\n\n# @system-service\n"
    with pytest.raises(KeyError):
        filled("@C@\n", {})
    assert {path.name for path in TEMPLATES.iterdir()} >= {"system.service", "user.service"}


class FakeSystemd:
    """A ``systemctl`` that writes down what it is asked, on a machine that seems to be systemd's."""

    def __init__(self, root: Path) -> None:
        self.calls, self.shown, self._tool = root / "calls", root / "shown", root / "bin" / "systemctl"
        self._tool.parent.mkdir()
        self.shown.write_text("LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\n")
        self.set_up()

    def set_up(self, version: int = 255, restart: str = "true") -> None:
        text = SYSTEMCTL.format(calls=self.calls, shown=self.shown, version=version, restart=restart)
        self._tool.write_text(text)
        self._tool.chmod(0o755)

    def asked(self) -> list[str]:
        asked = [line for line in self.calls.read_text().splitlines() if "--version" not in line]
        self.calls.write_text("")
        return asked


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    fake = FakeSystemd(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Systemd, "runs_here", staticmethod(lambda: True))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config home"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    return fake


def test_install_status_and_uninstall(tmp_path: Path, systemd: FakeSystemd) -> None:
    config = tmp_path / ODD / "config.toml"
    write_template(config.parent)
    unit = tmp_path / "config home" / "systemd" / "user" / "deepdream.service"
    assert deepdream("service", "status").exit_code == 4
    done = deepdream("service", "install", "--config", config)
    assert done.exit_code == 0, done.stderr
    assert systemd.asked()[-3:] == ["--user daemon-reload", "--user enable deepdream", "--user restart deepdream"]
    assert state_of(unit) == "ours"
    assert "loginctl enable-linger" in done.stdout
    assert deepdream("service", "install", "--config", config).exit_code == 0, "the same again is an update"
    systemd.shown.write_text(
        "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=42\n"
        "StatusText=3 queued\nNRestarts=1\nActiveEnterTimestamp=Mon 2026-11-23 04:00:00 UTC\n"
    )
    shown = deepdream("service", "status")
    assert (shown.exit_code, "3 queued" in shown.stdout, "42" in shown.stdout) == (0, True, True)
    told = json.loads(deepdream("service", "status", "--json").stdout)
    assert (told["running"], told["pid"], told["restarts"], told["text"]) == (True, 42, 1, "3 queued")
    systemd.shown.write_text("LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\n")
    assert deepdream("service", "status").exit_code == 3
    systemd.asked()
    gone = deepdream("service", "uninstall")
    assert gone.exit_code == 0, gone.stderr
    asked = ["disable --now deepdream", "daemon-reload", "reset-failed deepdream"]
    assert systemd.asked() == [f"--user {words}" for words in asked]
    assert not unit.exists()
    again = deepdream("service", "uninstall")
    assert (again.exit_code, "For one of the machine say --system" in again.stderr) == (1, True)
    assert config.exists()


def test_the_service_of_another_configuration_is_not_replaced(tmp_path: Path, systemd: FakeSystemd) -> None:
    for name in ("one", "two"):
        write_template(tmp_path / name)
    assert deepdream("service", "install", "--config", tmp_path / "one" / "config.toml").exit_code == 0
    refused = deepdream("service", "install", "--config", tmp_path / "two" / "config.toml")
    assert refused.exit_code == 1
    assert "works with the configuration" in refused.stderr
    assert str(tmp_path / "one") in refused.stderr
    named = deepdream("service", "install", "--config", tmp_path / "two" / "config.toml", "--name", "second")
    assert named.exit_code == 0, named.stderr
    assert "restart second" in systemd.asked()[-1]
    assert deepdream("service", "install", "--name", "../x").exit_code == 2


def test_dry_run_shows_all_and_does_nothing(tmp_path: Path, systemd: FakeSystemd) -> None:
    write_template(tmp_path / "place")
    config = tmp_path / "place" / "config.toml"
    done = deepdream("service", "install", "--system", "--run-as", ME, "--dry-run", "--config", config)
    assert done.exit_code == 0, done.stderr
    assert "# /etc/systemd/system/deepdream.service" in done.stdout
    assert f"User={ME}" in done.stdout
    assert "systemctl restart deepdream" in done.stdout
    assert systemd.asked() == []
    assert not (tmp_path / "config home").exists()
    assert not load_settings(config).state.exists()


def test_a_service_that_does_not_start_says_what_systemd_says(tmp_path: Path, systemd: FakeSystemd) -> None:
    write_template(tmp_path / "place")
    systemd.set_up(restart='echo "Job for deepdream.service failed. See journalctl --user -xeu deepdream" >&2; exit 1')
    done = deepdream("service", "install", "--config", tmp_path / "place" / "config.toml")
    assert done.exit_code == 1
    assert "systemctl --user restart deepdream failed: Job for deepdream.service failed. See journalctl" in done.stderr


def test_a_configuration_that_cannot_run_is_refused_before_anything_is_written(
    tmp_path: Path, systemd: FakeSystemd
) -> None:
    write_template(tmp_path / "place")
    (tmp_path / "place" / "in").rmdir()
    done = deepdream("service", "install", "--config", tmp_path / "place" / "config.toml")
    assert (done.exit_code, "folders[0].input" in done.stderr) == (2, True)
    assert deepdream("service", "install").exit_code == 2
    (tmp_path / "config.toml").write_text("[daemon]\n")
    assert "no folder is watched" in deepdream("service", "install").stderr
    assert not (tmp_path / "config home").exists()


def test_the_service_of_the_machine_is_for_root_and_not_run_by_it(
    tmp_path: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_template(tmp_path / "place")
    config = tmp_path / "place" / "config.toml"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refused = deepdream("service", "install", "--system", "--run-as", ME, "--config", config)
    assert refused.exit_code == 1
    assert f"-m deepdream_daemon service install --system --config {config} --run-as {ME}" in refused.stderr
    monkeypatch.setenv("SUDO_USER", "root")
    as_root = deepdream("service", "install", "--system", "--config", config)
    assert (as_root.exit_code, "--run-as USER" in as_root.stderr) == (2, True)
    unknown = deepdream("service", "install", "--system", "--run-as", "nobody-at-all", "--config", config)
    assert (unknown.exit_code, "there is no user 'nobody-at-all'" in unknown.stderr) == (2, True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    mixed = deepdream("service", "install", "--user", "--config", config)
    assert (mixed.exit_code, "Leave sudo out" in mixed.stderr) == (1, True)
    assert systemd.asked() == []


def test_without_a_service_manager_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Systemd, "runs_here", staticmethod(lambda: False))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(DeepDreamError, match="In a container let 'deepdream run' be its command"):
        manager_for("user")
    monkeypatch.setattr(sys, "platform", "freebsd14")
    with pytest.raises(DeepDreamError, match=r"not for 'freebsd14'\. Have your service manager run 'deepdream run'"):
        manager_for("user")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(manager_for("user"), Launchd)


LAUNCHCTL = """\
#!/bin/sh
echo "$*" >> {calls}
case "$1" in
  print) cat {shown} 2>/dev/null || exit 113 ;;
  bootout) exit 3 ;;
esac
"""


def test_install_status_and_uninstall_with_launchd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, calls, shown = tmp_path / "bin" / "launchctl", tmp_path / "calls", tmp_path / "shown"
    tool.parent.mkdir()
    tool.write_text(LAUNCHCTL.format(calls=calls, shown=shown))
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    domain = f"gui/{os.getuid()}"
    config, plist = tmp_path / ODD / "config.toml", tmp_path / "Library" / "LaunchAgents" / "local.deepdream.plist"
    write_template(config.parent)
    assert deepdream("service", "status").exit_code == 4
    for _ in range(2):  # the second time it is an update
        done = deepdream("service", "install", "--config", config)
        assert done.exit_code == 0, done.stderr
    assert calls.read_text().splitlines()[-3:] == [
        f"bootout {domain}/local.deepdream",
        f"enable {domain}/local.deepdream",
        f"bootstrap {domain} {plist}",
    ]
    assert state_of(plist) == "ours"
    shown.write_text(
        "x = {\n\tstate = running\n\tpid = 42\n\tlast exit code = 0\n\tsub = {\n\t\tstate = active\n\t}\n}\n"
    )
    running = deepdream("service", "status")
    assert (running.exit_code, "42" in running.stdout, str(config) in running.stdout) == (0, True, True)
    shown.write_text("x = {\n\tstate = not running\n\tlast exit code = 2\n}\n")
    ended = deepdream("service", "status")
    assert (ended.exit_code, "last exit code 2" in ended.stdout) == (3, True)
    write_template(tmp_path / "other")
    refused = deepdream("service", "install", "--config", tmp_path / "other" / "config.toml")
    assert (refused.exit_code, str(config) in refused.stderr) == (1, True)
    assert deepdream("service", "uninstall").exit_code == 0
    assert not plist.exists()

"""The wheel and the image have all that the service needs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import load_settings
from tests.daemon.cli import ROOT, deepdream, started, wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_wheel_has_the_templates(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "daemon" / "service").iterdir():
        assert f"deepdream_daemon/service/templates/{path.name}" in names


def test_the_image_has_a_configuration_that_holds_and_a_health_check_that_can_ask() -> None:
    settings = load_settings(ROOT / "daemon" / "service" / "docker.toml", folders_must_exist=False)
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert settings.monitoring.port > 0
    assert settings.shutdown_seconds < 10 - 3, "two more to cancel, one to end"
    for folder in (settings.folders[0].input, settings.folders[0].output, settings.state):
        assert re.search(rf'^VOLUME .*"{folder}"', dockerfile, re.MULTILINE)
    assert "\nUSER ${USER_ID}\n" in dockerfile, "not root, and known by its number"


def test_the_image_is_built_from_all_that_the_package_is_made_of() -> None:
    kept = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in wheel["packages"]} | {project["project"]["readme"], "pyproject.toml"}
    assert needed | set(project["project"]["license-files"]) <= kept
    links = [path.resolve() for path in ROOT.glob("daemon/deepdream_daemon/*/*") if path.is_symlink()]
    assert links
    assert {path.relative_to(ROOT).parts[0] for path in links} <= kept
    dockerfile = (ROOT / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE):
        assert (ROOT / source).exists()
        assert source == "." or source.split("/")[0] in kept
    torch = re.findall(r'"(torch(?:vision)?>=[\d.]+)"', dockerfile)
    assert torch
    assert set(torch) <= set(project["project"]["dependencies"])


def test_the_build_arguments_that_are_told_of_are_those_that_there_are() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    declared = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    told = set(re.findall(r"--build-arg (\w+)=", dockerfile + (ROOT / "README.md").read_text()))
    assert told == declared - {"PYTHON"}
    code = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#"))
    assert set(re.findall(r"\$\{(\w+)\}", code)) == declared
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    python = re.search(r"^ARG PYTHON=3\.(\d+)$", dockerfile, re.MULTILINE)
    assert python is not None
    assert int(python[1]) >= int(requires.removeprefix(">=3."))


def test_the_health_check_of_the_image_tells_a_daemon_that_lives_from_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    program, *words = json.loads(check)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][program]
    text = (ROOT / "daemon" / "service" / "docker.toml").read_text()
    for name in ("in", "out", "state"):
        text = text.replace(f'"/{name}"', f'"{tmp_path / name}"')
    config = tmp_path / "config.toml"
    config.write_text(re.sub(r"(?m)^port = \d+", f"port = {free_port()}", text))
    for name in ("in", "out"):
        (tmp_path / name).mkdir()

    monkeypatch.setenv("DEEPDREAM_CONFIG", str(config))  # as the image does
    before = deepdream(*words)
    assert (before.exit_code, before.stdout, before.stderr) == (1, "not running; start it: deepdream run\n", "")
    with started("run", "--config", config):
        wait_until(lambda: deepdream(*words).exit_code == 0)
    assert deepdream(*words).exit_code == 1

"""The wheel and the image have all that the service needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from deepdream_daemon.configuration.config import load_settings
from tests.daemon.cli import ROOT


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
    assert 'CMD ["deepdream", "health"]' in dockerfile
    assert "\nUSER deepdream\n" in dockerfile


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
    torch = re.findall(r'"(torch(?:vision)?>=[\d.]+)"', dockerfile)
    assert torch
    assert set(torch) <= set(project["project"]["dependencies"])

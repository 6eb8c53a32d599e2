"""The command line under test: in this process, and in one of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from deepdream_daemon.commands import main
from tests.corpus import scene
from tests.tools import lacking

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "deepdream_daemon"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("", "daemon", "plugins")),
    "OMP_NUM_THREADS": "1",
}
QUICK = ("--set", "octaves=1", "--set", "steps=1", "--set", "objective.layer=conv2")
"""A dream of one step, which is still a dream."""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no configuration is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEEPDREAM_CONFIG", raising=False)
    monkeypatch.setattr("platformdirs.user_config_path", lambda _: tmp_path / "nothing")
    monkeypatch.setattr("platformdirs.user_state_path", lambda _: tmp_path / "user-state")
    monkeypatch.setattr("platformdirs.user_data_path", lambda _: tmp_path / "user-data")


def deepdream(*args: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def unprivileged() -> list[str]:
    """Return what to put before a command so that file permissions hold for it, as they do not for root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        lacking("setpriv", "root may read and write everything")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def done(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, as somebody for whom file permissions hold."""
    command = [*unprivileged(), *COMMAND, *map(str, args)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@contextmanager
def started(*args: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command in its own process, ended at the end."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def photo(path: Path, seed: int = 1, width: int = 96, height: int = 72) -> Path:
    """Save a small picture at ``path``, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.part{path.suffix}")
    Image.fromarray(scene(seed, width, height)).save(temp)
    temp.rename(path)
    return path


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for ``condition``, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)

"""On Windows itself there is one message, whatever was asked: where the program runs, and how to get there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.daemon.cli import ENVIRONMENT

AS_ON_WINDOWS = """\
import sys, runpy
import click  # which would look for the console of Windows
for missing in ("pwd", "grp", "fcntl", "resource", "termios"):
    sys.modules[missing] = None
sys.platform = "win32"
sys.argv = ["deepdream", *sys.argv[1:]]
"""
AS_SCRIPT = f"{AS_ON_WINDOWS}from deepdream_daemon.commands import main\nmain()\n"
AS_MODULE = f"{AS_ON_WINDOWS}runpy.run_module('deepdream_daemon', run_name='__main__')\n"


@pytest.mark.parametrize(
    "args",
    [[], ["--help"], ["--version"], ["run"], ["service", "install"], ["dream", "photo.jpg"], ["no-such-command"]],
    ids=" ".join,
)
def test_on_windows_whatever_was_asked_the_way_to_wsl_is_told(args: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_SCRIPT, *args], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("deepdream: ")
    for part in ("Linux or macOS", "WSL 2", "wsl --install"):
        assert part in line


def test_on_windows_the_module_says_the_same() -> None:
    both = [
        subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        for program in (AS_SCRIPT, AS_MODULE)
    ]
    assert both[0].stderr == both[1].stderr
    assert "WSL 2" in both[1].stderr

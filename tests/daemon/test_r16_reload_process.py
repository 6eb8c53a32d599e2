"""R16 with the real command: the file changes or SIGHUP comes, and a real worker dreams on."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.config import write_template
from tests.daemon.cli import COMMAND, ENVIRONMENT, nowhere, photo, started

__all__ = ["nowhere"]

RECIPE = '\n[recipes.quick]\nbase = "classic"\noctaves = 1\nsteps = 1\nobjective.layer = "conv2"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose dreams and settling are quick."""
    place = tmp_path / "place"
    write_template(place)
    path = place / "config.toml"
    text = path.read_text().replace("settle_seconds = 2.0", "settle_seconds = 0.2")
    path.write_text(text.replace('recipe = "classic" ', 'recipe = "quick" ') + RECIPE)
    return path


class Log:
    """The JSON log of a process, read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def wait_for(self, event: str, seconds: float = 60.0, start: int = 0) -> dict[str, Any]:
        """Wait for a line that begins like this, at index ``start`` or later."""
        until = time.monotonic() + seconds
        while True:
            found = [line for line in self.lines[start:] if str(line.get("event", "")).startswith(event)]
            if found:
                return found[0]
            assert time.monotonic() < until, (event, self.lines)
            time.sleep(0.01)


@contextmanager
def running(config: Path) -> Iterator[Log]:
    """Run the daemon, ended at the end."""
    with started("run", "--config", config, "--log-format", "json") as process:
        log = Log(process)
        log.wait_for("started")
        yield log
        assert process.poll() is None, log.lines
        process.terminate()
        assert process.wait(20) == 0


def change(config: Path, edit: Callable[[str], str]) -> float:
    """Change the file as an editor does, and return when."""
    temp = config.with_name("config.toml.new")
    temp.write_text(edit(config.read_text()))
    temp.replace(config)
    return time.monotonic()


def test_a_changed_file_is_in_force_within_two_seconds(config: Path) -> None:
    with running(config) as log:
        took, more, others = [], _quicker(), ("quick", "quicker")
        for _ in range(3):
            seen, (before, after) = len(log.lines), others
            written = change(
                config,
                lambda text, a=before, b=after, more=more: text.replace(f'recipe = "{a}"', f'recipe = "{b}"') + more,  # type: ignore[misc]
            )
            log.wait_for("the configuration was taken up", start=seen)
            took.append(time.monotonic() - written)
            more, others = "", (after, before)
        assert max(took) < 2.0, took


@pytest.mark.slow
def test_the_worker_goes_on_when_the_recipes_change(config: Path) -> None:
    with running(config) as log:
        ready = log.wait_for("the worker is ready")
        change(config, lambda text: text.replace('recipe = "quick"', 'recipe = "quicker"') + _quicker())
        log.wait_for("the configuration was taken up")
        photo(config.parent / "in" / "photo.png")
        done = log.wait_for("dreamt")
        assert done["recipe"] == "quicker"
        assert [line for line in log.lines if line["event"] == "the worker is ready"] == [ready]


def _quicker() -> str:
    return RECIPE.replace("[recipes.quick]", "[recipes.quicker]")


def test_sighup_takes_it_up_and_a_mistake_is_logged_with_its_place(config: Path) -> None:
    with running(config) as log:
        log.process.send_signal(signal.SIGHUP)
        log.wait_for("the configuration was taken up")
        line = config.read_text().splitlines().index("[engine]") + 1
        change(config, lambda text: text.replace("[engine]", "[engyne]"))
        refused = log.wait_for("the changed configuration is not taken up")
        assert refused["level"] == "error"
        assert f"{config}:{line}: engyne: unknown table" in refused["error"]
        seen = len(log.lines)
        change(config, lambda text: text.replace("[engyne]", "[engine]"))
        log.process.send_signal(signal.SIGHUP)
        log.wait_for("the configuration was taken up", start=seen)


@pytest.mark.slow
def test_another_device_that_is_not_there_is_refused_and_the_worker_stays(config: Path) -> None:
    with running(config) as log:
        log.wait_for("the worker is ready")
        lines = config.read_text().splitlines()
        line = next(number for number, text in enumerate(lines, start=1) if text.startswith("device = "))
        change(config, lambda text: text.replace('device = "auto"', 'device = "cuda:99"'))
        refused = log.wait_for("the changed configuration is not taken up")
        assert f"{config}:{line}: engine.device: 'cuda:99' is not on this machine" in refused["error"]
        photo(config.parent / "in" / "photo.png")
        log.wait_for("dreamt")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def test_monitoring_moves_to_another_port_unless_that_is_taken(config: Path) -> None:
    first, second = free_port(), free_port()
    change(config, lambda text: text.replace("port = 0 ", f"port = {first} "))
    with running(config) as log, socket.create_server(("127.0.0.1", 0)) as other:
        assert answers(first)
        change(config, lambda text: text.replace(f"port = {first} ", f"port = {other.getsockname()[1]} "))
        refused = log.wait_for("the changed configuration is not taken up")
        line = next(n for n, text in enumerate(config.read_text().splitlines(), start=1) if text.startswith("port = "))
        assert f"{config}:{line}: monitoring.port" in refused["error"]
        assert answers(first)
        change(config, lambda text: text.replace(f"port = {other.getsockname()[1]} ", f"port = {second} "))
        log.wait_for("the configuration was taken up")
        assert answers(second)
        assert not answers(first)


def test_the_level_of_the_log_follows(config: Path) -> None:
    with running(config) as log:
        change(config, lambda text: text.replace('level = "info"', 'level = "warning"'))
        time.sleep(2.0)
        assert not any(line["event"].startswith("the configuration was taken up") for line in log.lines)
        seen = len(log.lines)
        change(config, lambda text: text.replace('level = "warning"', 'level = "info"'))
        log.wait_for("the configuration was taken up", start=seen)


WITH_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command that has what it reads from for its terminal."""


def test_a_terminal_that_is_closed_ends_the_daemon_as_ever(config: Path) -> None:
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_TERMINAL, *COMMAND, "run", "--config", config, "--log-format", "plain"],
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    try:
        seen = b""
        while b"started" not in seen:
            seen += os.read(terminal, 4096)
        process.send_signal(signal.SIGHUP)
        while b"was taken up" not in seen:
            seen += os.read(terminal, 4096)
        os.close(terminal)  # the kernel sends SIGHUP to whoever has it for a terminal
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()

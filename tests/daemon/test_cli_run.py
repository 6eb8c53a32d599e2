"""``run`` and the questions about it: signals, exit codes, logs, the screen, ``status``, ``explain``, ``retry``."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.journal.journal import Journal
from tests.daemon.cli import COMMAND, ENVIRONMENT, deepdream, nowhere, photo, started, wait_until
from tests.measuring import best_within

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


def is_running(config: Path) -> bool:
    found = json.loads(deepdream("status", "--config", config, "--json").stdout)
    return bool(found["running"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_winds_it_down(config: Path, number: signal.Signals) -> None:
    with started("run", "--config", config, "--log-format", "json") as process:
        wait_until(lambda: is_running(config))
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        assert first["level"] == "info"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert json.loads(err.splitlines()[-1])["event"] == "stopped"
    assert not is_running(config)


def test_a_second_one_is_refused_with_its_own_code(config: Path) -> None:
    with started("run", "--config", config):
        wait_until(lambda: is_running(config))
        done = subprocess.run(
            [*COMMAND, "run", "--config", config], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if line.startswith("deepdream: ")] == [
        line for line in done.stderr.splitlines() if "already running" in line
    ]
    assert "Traceback" not in done.stderr


def test_a_device_that_is_not_there_is_named(config: Path) -> None:
    config.write_text(config.read_text().replace('device = "auto"', 'device = "cuda:99"'))
    with started("run", "--config", config) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    lines = config.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if text.startswith("device = "))
    assert f"{config}:{line}: engine.device: 'cuda:99' is not on this machine" in err
    assert "Traceback" not in err


def test_a_configuration_without_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[daemon]\n")
    result = deepdream("run")
    assert result.exit_code == 2
    assert "config.toml: no folder is watched. Add [[folders]]" in result.stderr


def test_a_folder_that_is_gone_is_named_with_its_line(config: Path) -> None:
    (config.parent / "in").rmdir()
    line = config.read_text().splitlines().index('input = "in"') + 1
    result = deepdream("run", "--config", config)
    assert result.exit_code == 2
    assert f"config.toml:{line}: folders[0].input: the folder" in result.stderr
    assert "mkdir -p" in result.stderr


def test_a_picture_from_drop_to_retry(config: Path) -> None:
    folder = config.parent / "in"
    assert "not running" in deepdream("status", "--config", config).stdout
    with started("run", "--config", config) as process:
        wait_until(lambda: is_running(config))
        photo(folder / "photo.png")
        (folder / "bad.jpg").write_text("hello")
        wait_until((config.parent / "out" / "photo.quick.png").exists)

        def counts() -> dict[str, int]:
            found = json.loads(deepdream("status", "--config", config, "--json").stdout)
            return dict(found["counts"])

        wait_until(lambda: counts()["failed"] == 1 and counts()["done"] == 1)
        shown = deepdream("status", "--config", config).stdout
        assert f"running, process {process.pid}" in shown
        assert "1 done, 1 failed" in shown
        assert "not a picture" in shown
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert "dreamt" in err
    explained = json.loads(deepdream("explain", folder / "bad.jpg", "--config", config, "--json").stdout)
    assert explained["state"] == "failed"
    assert "not a picture" in explained["reason"]
    plain = deepdream("explain", folder / "photo.png", "--config", config).stdout
    assert str(config.parent / "out" / "photo.quick.png") in plain
    assert "history" in plain
    retried = deepdream("retry", folder / "bad.jpg", "--config", config)
    assert retried.exit_code == 0
    assert "queued again; start the daemon: deepdream run" in retried.stdout
    journal = Journal.open(config.parent / "state", read_only=True)
    assert journal.counts()["queued"] == 1
    journal.close()
    missing = deepdream("explain", folder / "nothing.png", "--config", config)
    assert "there is no such file" in missing.stdout


def test_redream_finds_the_source_through_the_journal(config: Path, tmp_path: Path) -> None:
    folder = config.parent / "in"
    photo(folder / "deep" / "photo.png")
    (folder / "deep" / "photo.png.toml").write_text('base = "quick"\n')
    dream = config.parent / "out" / "deep" / "photo.quick.png"
    with started("run", "--config", config) as process:
        wait_until(dream.exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    result = deepdream("redream", dream, "--config", config, "-o", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert "photo.quick.png: equal to the pixel" in result.stderr


def read_screen(terminal: int, until: bytes, seconds: float = 60.0) -> bytes:
    """Read what a process draws on its terminal, until it has drawn ``until``."""
    seen, deadline = b"", time.monotonic() + seconds
    while until not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the other side has closed
                break
    return seen


def test_on_a_terminal_there_is_a_live_table(config: Path) -> None:
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "--config", config],
        env={**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    try:
        read_screen(terminal, b"Ctrl-C stops.")
        photo(config.parent / "in" / "photo.png")
        read_screen(terminal, "✓".encode())
        process.send_signal(signal.SIGINT)
        last = read_screen(terminal, b"Stopped.")
        read_screen(terminal, b"\x1b[?25h")  # the cursor is back
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert b"Traceback" not in last
    final = last[last.rindex(b"DeepDream") :]
    assert b"1 done" in final, "the last screen tells what was done"
    assert "✓".encode() in final
    assert "dreamt" in (config.parent / "state" / "daemon.log").read_text()


def test_a_second_signal_ends_it_at_once(config: Path) -> None:
    photo(config.parent / "in" / "large.png", width=1600, height=1200)
    config.write_text(config.read_text().replace("octaves = 1\nsteps = 1\n", "octaves = 1\nsteps = 200\n"))

    def dreams() -> bool:
        return bool(json.loads(deepdream("status", "--config", config, "--json").stdout)["jobs"]["running"])

    def seconds(number: int) -> float:
        if number:
            shutil.rmtree(config.parent / "state")
        with started("run", "--config", config) as process:
            wait_until(dreams)
            since = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            took = time.monotonic() - since
        assert process.returncode == 128 + signal.SIGTERM, "the first one alone would have it end by itself"
        return took

    best_within(2.0, seconds)


def test_ctrl_c_ends_a_dream_without_a_traceback(tmp_path: Path) -> None:
    source = photo(tmp_path / "large.png", width=1200, height=900)
    with started("dream", source, "--set", "steps=500") as process:
        wait_until(lambda: psutil.Process(process.pid).cpu_times().user > 1)  # however much else the machine has to do
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.strip().splitlines()[-1] == "deepdream: interrupted"
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["large.png"]

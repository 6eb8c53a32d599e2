"""R23: a second daemon on the same state ends within a second of its start, with a message and a code."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_daemon.running.daemon import Daemon
from deepdream_daemon.running.lock import LOCK_FILE, AlreadyRunning
from tests.daemon.cli import started
from tests.daemon.stub import (
    Running,
    StubRenderer,
    command,
    environment,
    make_settings,
    recipe_book,
    wait_until,
)
from tests.measuring import best_within, seconds_of_process


def test_a_second_instance_is_refused_at_once(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        wait_until((settings.state / "journal.sqlite3").exists)

        def seconds(_: int) -> float:
            begun = time.monotonic()
            second = Daemon(settings, recipe_book(), StubRenderer())
            with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
                second.run(threading.Event())
            return time.monotonic() - begun

        best_within(1.0, seconds)
        process = subprocess.run(
            command(tmp_path), env=environment(), capture_output=True, text=True, check=False, timeout=20
        )
        assert process.returncode == 3
        assert "already running" in process.stderr
        assert running.error is None


def test_deepdream_run_leaves_within_a_second_of_its_start_and_loads_no_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in", "plugins", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "plugins" / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'loaded')!r}).touch()\ntime.sleep(2)\n"
    )
    config = tmp_path / "config.toml"
    config.write_text('[[folders]]\ninput = "in"\noutput = "out"\n[plugins]\nfolder = "plugins"\n')

    def seconds(_: int) -> float:
        begun = time.monotonic()
        with started("run", "--config", config) as process:
            took = seconds_of_process(process, begun)
            _, said = process.communicate()
        assert process.returncode == 3
        assert "already running" in said
        assert "process 4711" in said
        return took

    with FileLock(tmp_path / "state" / LOCK_FILE):
        (tmp_path / "state" / f"{LOCK_FILE}.pid").write_text("4711")
        took = best_within(1.0, seconds)
    with capsys.disabled():
        print(f"\nR23: left within {min(took):.2f} to {max(took):.2f} s")
    assert not (tmp_path / "loaded").exists()


def test_the_lock_does_not_outlive_its_daemon(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for _ in range(2):
        with Running(settings) as running:
            wait_until(lambda: running.daemon.snapshot().counts["queued"] == 0)

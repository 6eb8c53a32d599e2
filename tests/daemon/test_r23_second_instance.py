"""R23: a second daemon on the same state ends within a second of its start, with a message and a code."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from deepdream_daemon.running.daemon import AlreadyRunning, Daemon
from tests.daemon.stub import (
    Running,
    StubRenderer,
    command,
    environment,
    make_settings,
    recipe_book,
    wait_until,
)


def test_a_second_instance_is_refused_at_once(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        wait_until((settings.state / "journal.sqlite3").exists)
        begun = time.monotonic()
        second = Daemon(settings, recipe_book(), StubRenderer())
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            second.run(threading.Event())
        assert time.monotonic() - begun < 1.0
        process = subprocess.run(
            command(tmp_path), env=environment(), capture_output=True, text=True, check=False, timeout=20
        )
        assert process.returncode == 3
        assert "already running" in process.stderr
        assert running.error is None


def test_the_lock_does_not_outlive_its_daemon(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for _ in range(2):
        with Running(settings) as running:
            wait_until(lambda: running.daemon.snapshot().counts["queued"] == 0)

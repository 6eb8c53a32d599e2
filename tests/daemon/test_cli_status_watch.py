"""``status --watch``: a live screen in a real terminal (a pty), of a daemon in another process."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdream_daemon.journal.deliveries import Undelivered
from deepdream_daemon.monitoring import showing
from deepdream_daemon.monitoring.showing import Showing, from_dict, read, to_dict, watching
from deepdream_daemon.running.lock import running_pid
from deepdream_daemon.running.snapshot import Active, Finished, Snapshot, Trouble
from tests.daemon.cli import COMMAND, ENVIRONMENT, deepdream, nowhere
from tests.daemon.stub import command, drop, environment, make_settings, wait_until

__all__ = ["nowhere"]

ODD = Path(os.fsdecode(b"/in/\xff\n\x1b[31m.jpg"))
SNAPSHOT = Snapshot(
    counts={"queued": 3, "done": 7},
    active=(Active(job=1, path=ODD, recipe="deep", stage="dreaming", fraction=0.5, seconds=4.0),),
    finished=(Finished(job=2, path=Path("/in/b.jpg"), output=Path("/out/b.deep.jpg"), seconds=2.25),),
    errors=(Trouble(job=3, path=Path("/in/c.jpg"), error="truncated", advice="Copy it.", final=True),),
    degraded="the disk is full",
    disabled={"sepia": "it failed"},
    undelivered=Undelivered(pending=1, given_up=2),
    paused=True,
    last_death="was killed by SIGSEGV",
    worker_restarts=2,
    free_bytes={Path("/out"): 5},
    beats={"intake": 0.1},
)


_IN_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # so that Ctrl-C comes from the terminal itself
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


class Terminal:
    """A command in a terminal of its own, and what was written to it so far."""

    def __init__(self, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(self.ours)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *COMMAND, *words],
            env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""

    def read(self, seconds: float = 0.1) -> str:
        """Read on for a while, and return all that was written, without what only moves the cursor or colours."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.ours], [], [], left)[0]:
                try:
                    self.written += os.read(self.ours, 65536).decode()
                except OSError:  # the other end is closed
                    break
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.ours, keys.encode())

    def close(self) -> None:
        """Take the terminal away."""
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@contextmanager
def watched(root: Path) -> Iterator[Terminal]:
    """The screen for the daemon in ``root``."""
    path = root / "config.toml"
    path.write_text('[[folders]]\ninput = "in"\noutput = "out"\n')
    terminal = Terminal("status", "--watch", "--config", str(path))
    try:
        yield terminal
    finally:
        terminal.close()


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real daemon in a process of its own."""
    process = subprocess.Popen(command(root), env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: running_pid(root / "state") is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_shows_what_the_daemon_does_and_leaves_it_alone(tmp_path: Path) -> None:
    make_settings(tmp_path)
    drop(tmp_path / "in" / "slow.jpg", "slow")
    with daemon(tmp_path) as process, watched(tmp_path) as terminal:
        wait_until(lambda: "dreaming" in terminal.read(), what=lambda: terminal.written)
        assert "slow.jpg" in terminal.read()
        assert f"The daemon runs, process {process.pid}. q ends this" in terminal.read()
        terminal.type("x")
        assert terminal.process.poll() is None
        terminal.type("q")
        assert terminal.process.wait(5) == 0
        assert termios.tcgetattr(terminal.ours) == terminal.before
        assert "\x1b[?1049l" in terminal.read() or "\x1b[?1049l" in terminal.written, "the screen of before is back"
        assert "\x1b[?25h" in terminal.written, "and the cursor"
        assert process.poll() is None


@pytest.mark.parametrize(("how", "code"), [("ctrl-c", 0), ("terminate", 143), ("hang up", 0)])
def test_however_it_is_ended_the_terminal_is_as_before(tmp_path: Path, how: str, code: int) -> None:
    make_settings(tmp_path)
    with watched(tmp_path) as terminal:
        wait_until(lambda: "The daemon is not running; start it: deepdream run" in terminal.read())
        match how:
            case "ctrl-c":
                terminal.type("\x03")
            case "terminate":
                terminal.process.send_signal(signal.SIGTERM)
            case _:
                terminal.process.send_signal(signal.SIGHUP)
        assert terminal.process.wait(5) == code
        assert termios.tcgetattr(terminal.ours) == terminal.before
        assert "Traceback" not in terminal.read()


def test_it_follows_a_daemon_that_is_started_and_ends(tmp_path: Path) -> None:
    make_settings(tmp_path)
    with watched(tmp_path) as terminal:
        wait_until(lambda: "not running" in terminal.read())
        with daemon(tmp_path) as process:
            wait_until(lambda: f"runs, process {process.pid}" in terminal.read())
            terminal.written = ""
            process.kill()
            process.wait()
            wait_until(lambda: "not running" in terminal.read())


def test_without_a_terminal_it_says_how_to_have_one(tmp_path: Path) -> None:
    result = deepdream("status", "--watch")
    assert result.exit_code == 1
    assert "ssh -t HOST deepdream status --watch" in result.stderr


def test_programs_are_shown_where_to_look() -> None:
    result = deepdream("status", "--watch", "--json")
    assert result.exit_code == 2
    assert "/metrics" in result.stderr


def test_a_snapshot_survives_its_file(tmp_path: Path) -> None:
    assert from_dict(to_dict(SNAPSHOT)) == SNAPSHOT


def test_it_is_written_only_while_somebody_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "EVERY_SECONDS", 0.02)
    made: list[int] = []

    def snapshot() -> Snapshot:
        made.append(1)
        return SNAPSHOT

    stop = threading.Event()
    thread = threading.Thread(target=Showing(tmp_path, snapshot).run, args=(stop,), daemon=True)
    thread.start()
    time.sleep(0.3)
    assert made == []
    assert not (tmp_path / showing.FILE).exists()
    with watching(tmp_path) as latest:
        wait_until(lambda: latest() == SNAPSHOT)
        with watching(tmp_path) as another:
            wait_until(lambda: another() == SNAPSHOT)
    time.sleep(0.5)  # whoever is writing ends it
    before = len(made)
    time.sleep(0.3)
    assert len(made) == before
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert not (tmp_path / showing.FILE).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1e12, "snapshot": {}}', '{"at": null}'])
def test_what_cannot_be_read_shows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / showing.FILE).write_text(text)
    assert read(tmp_path) is None


def test_what_was_left_by_a_killed_daemon_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Showing(tmp_path, lambda: SNAPSHOT)._write()
    assert read(tmp_path) == SNAPSHOT
    now = time.time()
    monkeypatch.setattr(showing.time, "time", lambda: now + 2 * showing.STALE_SECONDS)
    assert read(tmp_path) is None

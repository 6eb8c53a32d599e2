"""``pause``, ``resume`` and ``drain``: what they ask of a daemon in another process, and what it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_daemon.commands import control
from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.running.lock import LOCK_FILE, running_pid
from tests.daemon.cli import deepdream, nowhere, started
from tests.daemon.stub import Running, command, drop, environment, make_settings, outputs, wait_until
from tests.measuring import best_within

__all__ = ["nowhere"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration and the journal of a daemon that ran."""
    write_template(tmp_path / "place")
    Journal.open(tmp_path / "place" / "state").close()
    return tmp_path / "place"


@contextmanager
def seeming_to_run(place: Path) -> Iterator[None]:
    """As if a daemon ran with the state folder of ``place``."""
    with FileLock(place / "state" / LOCK_FILE):
        (place / "state" / f"{LOCK_FILE}.pid").write_text(f"{os.getpid()}")
        yield


def ask(place: Path, *words: str) -> str:
    result = deepdream(*words, "--config", place / "config.toml")
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def refused(place: Path, *words: str) -> str:
    result = deepdream(*words, "--config", place / "config.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.strip()


def configured(root: Path) -> Path:
    """Write a configuration for the folders of the stub's daemon in ``root``."""
    path = root / "config.toml"
    path.write_text('[[folders]]\ninput = "in"\noutput = "out"\n[daemon]\nsettle_seconds = 0.1\n')
    return root


def test_a_pause_lasts_until_it_is_ended(place: Path) -> None:
    assert "begins no picture until: deepdream resume" in ask(place, "pause")
    assert "paused already, since " in ask(place, "pause")
    assert "paused  since " in ask(place, "status")
    with seeming_to_run(place):
        assert "paused already" in ask(place, "pause")
        assert json.loads(ask(place, "status", "--json"))["paused"] is True
        assert ask(place, "resume") == "the pause is over"
        assert ask(place, "resume") == "nothing was paused"
        assert "no more pictures are begun" in ask(place, "pause")
    assert ask(place, "resume") == "the pause is over; start the daemon: deepdream run"
    assert json.loads(ask(place, "status", "--json"))["paused"] is False


def test_a_drain_needs_a_daemon_that_may_work(place: Path) -> None:
    assert "no daemon is running" in refused(place, "drain")
    with seeming_to_run(place):
        ask(place, "pause")
        assert "First: deepdream resume." in refused(place, "drain")
        ask(place, "resume")
        assert ask(place, "drain") == "draining: the daemon ends when nothing more is dreamt"
        assert json.loads(ask(place, "status", "--json"))["draining"] is True
        assert "it takes nothing new" in ask(place, "status")
        assert ask(place, "resume") == "the drain is called off"


@pytest.mark.parametrize("words", [("pause",), ("resume",), ("drain",)])
def test_where_no_daemon_ever_ran_nothing_is_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    write_template(tmp_path / "new")
    assert "no daemon has ever run" in refused(tmp_path / "new", *words)
    assert not (tmp_path / "new" / "state").exists()


def test_programs_get_json(place: Path) -> None:
    with seeming_to_run(place):
        paused = json.loads(ask(place, "pause", "--json"))
        assert paused["paused"] is paused["running"] is True
        assert json.loads(ask(place, "resume", "--json"))["was_paused"] is True
        assert json.loads(ask(place, "drain", "--json")) == {"draining": True, "left": 0, "ended": False}


def test_a_paused_daemon_takes_files_in_but_begins_none(tmp_path: Path) -> None:
    settings = make_settings(configured(tmp_path))
    with Running(settings) as running:
        wait_until(lambda: running_pid(settings.state) is not None)

        def seconds_to_go_on(number: int) -> float:
            ask(tmp_path, "pause")
            drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
            running.wait_for(queued=1)
            time.sleep(1.0)
            assert running.counts()["queued"] == 1
            assert len(outputs(tmp_path / "out")) == number
            assert running.daemon.snapshot().paused
            begun = time.monotonic()
            ask(tmp_path, "resume")
            running.wait_for(done=number + 1)
            return time.monotonic() - begun

        best_within(2.0, seconds_to_go_on)


def test_a_pause_outlives_the_daemon(tmp_path: Path) -> None:
    settings = make_settings(configured(tmp_path))
    with Running(settings):
        wait_until(lambda: running_pid(settings.state) is not None)
        ask(tmp_path, "pause")
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(queued=1)
        time.sleep(0.5)
        assert running.counts()["queued"] == 1
        ask(tmp_path, "resume")
        running.wait_for(done=1)


@contextmanager
def daemon(root: Path, dream_seconds: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
    """A real daemon in a process of its own."""
    process = subprocess.Popen(command(root, dream_seconds), env=environment(), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: running_pid(root / "state") is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_drained_daemon_dreams_what_is_queued_takes_nothing_new_and_ends(tmp_path: Path) -> None:
    make_settings(configured(tmp_path))
    for number in range(12):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with daemon(tmp_path, 0.2) as process:
        wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["counts"]["done"] > 0)
        assert "more are dreamt" in ask(tmp_path, "drain")
        time.sleep(0.3)
        drop(tmp_path / "in" / "late.jpg", "sky")
        assert ask(tmp_path, "drain", "--wait") == "drained: the daemon has ended"
        assert process.wait(5) == 0
    names = {path.name for path in outputs(tmp_path / "out")}
    assert names == {f"{number}.classic.jpg" for number in range(12)}
    with Running(make_settings(tmp_path)) as running:  # the drain was the other daemon's
        running.wait_for(done=13)


def test_a_drain_tells_of_what_waits_for_a_file_beside_it(tmp_path: Path) -> None:
    make_settings(configured(tmp_path))
    drop(tmp_path / "in" / "guided.jpg", "sky").with_name("guided.jpg.toml").write_text('base = "google-guided"\n')
    with daemon(tmp_path):
        wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["counts"]["waiting"] == 1)
        assert ask(tmp_path, "drain", "--wait") == "drained: the daemon has ended; 1 waits for the next one"


def test_waiting_for_a_drain_ends_when_it_is_called_off(tmp_path: Path) -> None:
    make_settings(configured(tmp_path))
    drop(tmp_path / "in" / "slow.jpg", "slow")
    with daemon(tmp_path):
        wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["counts"]["running"] == 1)
        with started("drain", "--wait", "--config", tmp_path / "config.toml") as waiting:
            wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["draining"])
            ask(tmp_path, "resume")
            _, said = waiting.communicate(timeout=60)
        assert waiting.returncode == 1
        assert "the drain was called off" in said
        assert running_pid(tmp_path / "state") is not None


def test_a_drain_that_takes_long_says_what_it_waits_for_and_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "SILENT_SECONDS", 0.2)
    make_settings(configured(tmp_path))
    photo = drop(tmp_path / "in" / "slow.jpg", "slow")
    with daemon(tmp_path) as process:
        wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["counts"]["running"] == 1)
        journal = Journal.open(tmp_path / "state")
        journal.ask_drain()
        waiting = threading.Thread(target=lambda: control._wait(journal, process.pid), daemon=True)
        waiting.start()
        said: list[str] = []
        wait_until(lambda: said.append(capsys.readouterr().err) or "still waiting for" in "".join(said))
        time.sleep(3 * control.WAIT_SECONDS)  # and no more is said
        process.terminate()
        process.wait(20)
        waiting.join(60)
        assert not waiting.is_alive()
        journal.close()
    told = "".join([*said, capsys.readouterr().err])
    assert told.count("still waiting for") == 1
    assert f"{photo} to be dreamt. Why: deepdream explain {photo}. To end it at once: kill {process.pid}" in told


def test_a_drain_does_not_outlive_a_killed_daemon(tmp_path: Path) -> None:
    make_settings(configured(tmp_path))
    drop(tmp_path / "in" / "slow.jpg", "slow")
    with daemon(tmp_path) as process:
        wait_until(lambda: json.loads(ask(tmp_path, "status", "--json"))["counts"]["running"] == 1)
        ask(tmp_path, "drain")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert json.loads(ask(tmp_path, "status", "--json"))["draining"] is False
    with daemon(tmp_path):
        time.sleep(1.0)
        assert json.loads(ask(tmp_path, "status", "--json"))["draining"] is False


def test_a_daemon_is_steered_though_its_configuration_has_a_mistake_by_now(place: Path) -> None:
    config = place / "config.toml"
    config.write_text(config.read_text().replace('state = "state"', 'state = "kept"').replace("priority = 0", "x = 0"))
    journal = Journal.open(place / "kept")
    with FileLock(place / "kept" / LOCK_FILE):
        (place / "kept" / f"{LOCK_FILE}.pid").write_text(f"{os.getpid()}")
        assert ask(place, "pause").startswith("paused: ")
        assert journal.is_paused()
        ask(place, "resume")
        ask(place, "drain")
        assert journal.is_draining()
        assert ask(place, "health").startswith("running")
    journal.close()
    for words in (["pause"], ["health"]):
        result = deepdream(*words, "--config", config)
        assert (result.exit_code, "config.toml:" in result.stderr) == (2, True)

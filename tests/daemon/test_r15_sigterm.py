"""R15: after SIGTERM nothing new is claimed, the process ends within 15 s, and unfinished work is queued
again.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import LONGEST_SHUTDOWN_SECONDS
from deepdream_daemon.intake.intake import Intake
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.pipeline import CANCEL_SECONDS, WIND_DOWN_SECONDS
from deepdream_daemon.publishing import publish
from deepdream_daemon.running import background
from tests.daemon.stub import (
    Running,
    StubRenderer,
    command,
    drop,
    environment,
    is_whole_dream,
    make_settings,
    outputs,
    temps,
    wait_until,
)
from tests.measuring import best_within


def _counts(root: Path) -> dict[str, int]:
    journal = Journal.open(root / "state", read_only=True)
    try:
        return journal.counts()
    finally:
        journal.close()


def _start(root: Path, seconds: float, **changes: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(root, seconds, **changes), env=environment(), stdout=subprocess.DEVNULL)


def _seconds_to_end(running: Running) -> float:
    begun = time.monotonic()
    running.stop.set()
    running.thread.join(10)
    return time.monotonic() - begun


def test_what_runs_long_is_cancelled_and_queued_again(tmp_path: Path) -> None:
    make_settings(tmp_path)
    for number in range(20):
        drop(tmp_path / "in" / f"{number}.jpg", f"slow {number}")
    process = _start(tmp_path, 0.0, shutdown_seconds=0.3)
    wait_until(lambda: _counts(tmp_path)["running"] > 0)
    time.sleep(0.2)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert time.monotonic() - begun < 5.0
    counts = _counts(tmp_path)
    assert (counts["queued"], counts["running"], counts["publishing"]) == (20, 0, 0)
    assert outputs(tmp_path / "out") == []
    assert temps(tmp_path / "out") == []


def test_what_runs_may_finish_and_nothing_new_begins(tmp_path: Path) -> None:
    make_settings(tmp_path)
    for number in range(50):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    process = _start(tmp_path, 0.05, shutdown_seconds=10.0)
    wait_until(lambda: _counts(tmp_path)["done"] > 0)
    before = _counts(tmp_path)["done"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    counts = _counts(tmp_path)
    assert counts["done"] + counts["queued"] == 50
    assert 0 < counts["done"] <= before + 1 + 3 * 8
    assert len(outputs(tmp_path / "out")) == counts["done"]
    process = _start(tmp_path, 0.0)
    wait_until(lambda: _counts(tmp_path)["done"] == 50)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert all(is_whole_dream(path) for path in outputs(tmp_path / "out"))


def test_an_output_that_became_visible_while_the_disk_hangs_is_not_published_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hit(point: str) -> None:
        if point == "publish.linked":  # what comes next is the fsync of the folder
            hangs.set()
            goes_on.wait(60)

    settings = make_settings(tmp_path, shutdown_seconds=0.2)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "hit", hit)
        with Running(settings) as running:
            assert hangs.wait(60)
            assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic.jpg"]  # linked, not yet durable
            running.stop.set()
            running.thread.join(10)
    assert _counts(tmp_path)["publishing"] == 1
    with Running(settings) as running:
        running.wait_for(done=1)
        wait_until(lambda: temps(tmp_path / "out") == [])
    goes_on.set()
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic.jpg"]


def test_a_pass_that_hangs_does_not_hold_the_daemon_up(tmp_path: Path) -> None:
    renderer = StubRenderer()
    goes_on = threading.Event()
    renderer.before_dream = lambda _: goes_on.wait(60) and None
    settings = make_settings(tmp_path, shutdown_seconds=0.5)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer) as running:
        wait_until(lambda: bool(renderer.batches))
        begun = time.monotonic()
        running.stop.set()
        running.thread.join(10)
        assert time.monotonic() - begun < 6.0
    goes_on.set()
    assert _counts(tmp_path)["queued"] == 1


def test_a_worker_that_cannot_be_ended_does_not_hold_the_daemon_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    renderer = StubRenderer()
    monkeypatch.setattr(renderer, "close", lambda: goes_on.wait(60))
    monkeypatch.setattr("deepdream_daemon.pipeline.pipeline.WIND_DOWN_SECONDS", 1.0)

    def seconds(number: int) -> float:
        root = tmp_path / str(number)
        with Running(make_settings(root), renderer) as running:
            wait_until((root / "state" / "journal.sqlite3").exists)
            return _seconds_to_end(running)

    best_within(2.0, seconds)
    goes_on.set()


class Hanging:
    """A daemon that a disk or a lock holds up for good."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def run(self, _: threading.Event) -> None:
        self.goes_on.wait(60)


def test_whoever_waits_for_a_daemon_that_hangs_gives_it_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WIND_DOWN_SECONDS < background.END_SECONDS <= 14.5  # it has its time, and the process still ends within 15 s
    monkeypatch.setattr(background, "END_SECONDS", 0.5)
    daemon = Hanging()

    def seconds(_: int) -> float:
        begun = time.monotonic()
        with pytest.raises(background.GivenUp, match="next start"), background.Background(daemon):  # type: ignore[arg-type]
            pass
        return time.monotonic() - begun

    assert best_within(3.0, seconds)[-1] >= 0.5
    daemon.goes_on.set()


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_journal_that_somebody_keeps_locked_does_not_hold_the_process_up(tmp_path: Path) -> None:
    make_settings(tmp_path)
    for number in range(20):
        drop(tmp_path / "in" / f"{number}.jpg", f"slow {number}")
    process = _start(tmp_path, 0.0, shutdown_seconds=1.0)
    wait_until(lambda: _counts(tmp_path)["running"] > 8)
    with sqlite3.connect(tmp_path / "state" / "journal.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        took = time.monotonic() - begun
    other.close()
    assert took < 15
    with Running(make_settings(tmp_path, shutdown_seconds=0.0)) as running:  # and the next start finds out
        wait_until(lambda: running.counts()["running"] > 8)
    assert _counts(tmp_path)["queued"] == 20


def test_all_that_is_waited_for_adds_up_to_less_than_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LONGEST_SHUTDOWN_SECONDS + CANCEL_SECONDS <= WIND_DOWN_SECONDS < 15
    monkeypatch.setattr("deepdream_daemon.pipeline.pipeline.WIND_DOWN_SECONDS", 2.0)
    monkeypatch.setattr("deepdream_daemon.running.daemon.INTAKE_STOP_SECONDS", 60.0)
    goes_on = threading.Event()
    monkeypatch.setattr("deepdream_daemon.running.generations.sweep", lambda *_: goes_on.wait(60))
    monkeypatch.setattr(Intake, "_tend", lambda _: goes_on.wait(60))

    def seconds(number: int) -> float:
        with Running(make_settings(tmp_path / str(number))) as running:
            time.sleep(0.3)
            return _seconds_to_end(running)

    best_within(2.8, seconds)  # neither the intake's time nor anything for the sweeper
    goes_on.set()


def test_a_look_at_an_input_folder_that_hangs_does_not_keep_the_daemon_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def away(_: Roots) -> list[Path]:
        hangs.set()
        goes_on.wait(110)
        return [tmp_path / "in"]

    settings = make_settings(tmp_path, shutdown_seconds=0.2)
    with Running(settings) as running:
        wait_until((tmp_path / "state" / "daemon.lock.pid").exists)
        time.sleep(0.3)
        monkeypatch.setattr(Roots, "away", away)
        looker = threading.Thread(target=running.daemon.snapshot)
        looker.start()
        assert hangs.wait(60)
        running.stop.set()
        running.thread.join(5)
        assert not running.thread.is_alive()
        goes_on.set()
        looker.join(60)

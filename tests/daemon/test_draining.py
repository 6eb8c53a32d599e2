"""Draining: nothing new is taken, what is queued is dreamt, and the daemon ends by itself."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdream_daemon.journal import left
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import undecided
from deepdream_daemon.publishing import publish
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import command, drop, environment, make_settings, outputs, wait_until
from tests.measuring import best_within


def ask(root: Path) -> None:
    """Ask as another process does."""
    journal = Journal.open(root / "state")
    journal.ask_drain()
    journal.close()


@contextmanager
def started(root: Path, dream_seconds: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in a process of its own, ended at the end."""
    process = subprocess.Popen(command(root, dream_seconds), env=environment(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_draining(root: Path) -> bool:
    journal = Journal.open(root / "state", read_only=True)
    try:
        return journal.is_draining()
    finally:
        journal.close()


def test_it_ends_with_success_once_all_that_was_queued_is_dreamt(tmp_path: Path) -> None:
    make_settings(tmp_path)
    for number in range(12):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with started(tmp_path, 0.1) as process:
        wait_until(lambda: len(outputs(tmp_path / "out")) > 0)
        ask(tmp_path)
        drop(tmp_path / "in" / "late.jpg", "late")
        assert process.wait(20) == 0
    assert {path.name.split(".")[0] for path in outputs(tmp_path / "out")} == {str(number) for number in range(12)}
    assert not is_draining(tmp_path)
    with started(tmp_path) as again:
        wait_until(lambda: len(outputs(tmp_path / "out")) == 13)
        assert again.poll() is None, "who starts it again wants it to go on"
        again.terminate()
        assert again.wait(15) == 0


def test_an_idle_daemon_ends_at_once(tmp_path: Path) -> None:
    def seconds(_: int) -> float:
        with Reloadable(tmp_path) as daemon:
            ask(tmp_path)
            begun = time.monotonic()
            daemon.join(5.0)
            return time.monotonic() - begun

    best_within(3.0, seconds)
    assert not is_draining(tmp_path)


def test_what_waits_for_another_time_or_for_nobody_does_not_keep_it(tmp_path: Path) -> None:
    for name in ("in2", "out2"):
        (tmp_path / name).mkdir()
    dreams, goes_on = threading.Event(), threading.Event()

    def wait(_: bytes) -> None:
        dreams.set()
        assert goes_on.wait(60)

    second = '[[folders]]\ninput = "in2"\noutput = "out2"\n'
    with Reloadable(tmp_path, FOLDER + second + QUICK + "[engine]\nmax_batch = 1\n") as daemon:
        daemon.renderers[0].before_dream = wait
        drop(tmp_path / "in2" / "held.jpg", "sky")
        assert dreams.wait(60)
        for number in range(20):  # more than are claimed at once
            drop(tmp_path / "in2" / f"{number}.jpg", f"sky {number}")
        wait_until(lambda: sum(daemon.snapshot().counts.values()) == 21, what=daemon.snapshot)
        daemon.write(FOLDER + QUICK + "[engine]\nmax_batch = 1\n")  # nobody watches in2 any more
        daemon.wait_for_generation(2)
        ask(tmp_path)
        time.sleep(1.0)
        assert daemon.snapshot().draining, "a dream is in flight"
        goes_on.set()
        daemon.join(10.0)
        assert daemon.snapshot().counts["queued"] == 20


def test_what_waits_for_its_hours_is_left_for_the_next_start(tmp_path: Path) -> None:
    hour = time.localtime().tm_hour
    hours = f"{(hour + 11) % 24:02}:00-{(hour + 12) % 24:02}:00"
    with Reloadable(tmp_path, f'{FOLDER}hours = ["{hours}"]\n{QUICK}') as daemon:
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: daemon.snapshot().counts["queued"] == 1, what=daemon.snapshot)
        ask(tmp_path)
        daemon.join(5.0)
        assert daemon.snapshot().counts["queued"] == 1


def test_it_goes_on_waiting_while_somebody_has_paused_it(tmp_path: Path) -> None:
    with Reloadable(tmp_path) as daemon:
        journal = Journal.open(tmp_path / "state")
        journal.pause()
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: daemon.snapshot().counts["queued"] == 1, what=daemon.snapshot)
        ask(tmp_path)
        time.sleep(1.0)
        assert daemon.snapshot().draining
        assert not daemon.stop.is_set()
        journal.resume()
        wait_until(lambda: not daemon.snapshot().paused)
        ask(tmp_path)  # to resume is to call it off
        journal.close()
        daemon.join(10.0)
        assert len(outputs(tmp_path / "out")) == 1


class Links:
    """Links fail as on a disk with errors until told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = True
        real = publish.link_new

        def link_new(temp: Path, target: Path, at: int | None = None) -> None:
            if self.fail:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
            real(temp, target, at)

        monkeypatch.setattr(publish, "link_new", link_new)


def test_an_output_that_cannot_be_decided_keeps_it_for_a_while_and_is_left_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undecided, "FIRST_SECONDS", 0.1)
    links = Links(monkeypatch)
    with Reloadable(tmp_path) as daemon:
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: "cannot be found out" in (daemon.snapshot().degraded or ""), what=daemon.snapshot)
        ask(tmp_path)
        time.sleep(0.7)
        assert not daemon.stop.is_set(), "it may pass"
        monkeypatch.setattr(left, "STUCK_SECONDS", 1.0)
        daemon.join(10.0)
        assert daemon.snapshot().counts["publishing"] == 1
    links.fail = False
    with Reloadable(tmp_path) as daemon:
        wait_until(lambda: len(outputs(tmp_path / "out")) == 1, what=daemon.snapshot)
        wait_until(lambda: daemon.snapshot().counts["done"] == 1, what=daemon.snapshot)


def test_what_waits_for_an_output_folder_that_is_away_is_left_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "STUCK_SECONDS", 2.0)
    with Reloadable(tmp_path) as daemon:
        drop(tmp_path / "in" / "first.jpg", "sky")
        wait_until(lambda: len(outputs(tmp_path / "out")) == 1, what=daemon.snapshot)
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        drop(tmp_path / "in" / "second.jpg", "sea")
        wait_until(lambda: "cannot be written to" in (daemon.snapshot().degraded or ""), what=daemon.snapshot)
        wait_until(lambda: daemon.snapshot().counts["queued"] == 1, what=daemon.snapshot)  # it may be at work till then
        ask(tmp_path)
        daemon.join(10.0)
        assert daemon.snapshot().counts["queued"] == 1

"""A trial of those that may have ended the worker does not wait for a picture on a disk that hangs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.pipeline import line, stations
from deepdream_daemon.pipeline.originals import Originals
from deepdream_daemon.pipeline.task import READING, Task
from deepdream_daemon.worker.died import PictureLost
from tests.daemon.stub import Running, drop, make_settings, outputs, wait_until
from tests.daemon.test_trial import tasks
from tests.daemon.worker_stub import workshop


class Disk:
    """A disk that gives ``photo`` only so many times, and then not until released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, photo: Path, gives: int) -> None:
        self.hangs, self.goes_on = threading.Event(), threading.Event()
        self._left = gives
        real = Originals.read

        def read(originals: Originals, task: Task, *, keep: bool) -> bytes:
            if task.claim.source == photo and not self.goes_on.is_set():
                if self._left == 0:
                    self.hangs.set()
                    assert self.goes_on.wait(110)
                self._left -= 1
            return real(originals, task, keep=keep)

        monkeypatch.setattr(Originals, "read", read)


def _under_way(running: Running) -> list[tuple[Path, str]]:
    return [(each.path, each.stage) for each in running.daemon.snapshot().active]


@pytest.mark.parametrize("gives", [0, 1], ids=["beside the suspects", "as one of the suspects"])
def test_the_others_are_tried_while_a_picture_is_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives: int
) -> None:
    monkeypatch.setattr(stations, "TRIAL_LINGER_SECONDS", 0.5)
    monkeypatch.setattr(line, "READ_SECONDS", 0.5)
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=8))
    renderer = workshop(settings)
    assert renderer.check()
    stuck = tmp_path / "in" / "0.jpg"
    disk = Disk(monkeypatch, stuck, gives)
    for number in range(5):
        drop(tmp_path / "in" / f"{number}.jpg", "crash" if number == 3 else f"sky {number}")
    with Running(settings, renderer) as running:
        try:
            assert disk.hangs.wait(60)
            running.wait_for(done=3, failed=1)
            wait_until(lambda: _under_way(running) == [(stuck, READING)])
        finally:
            disk.goes_on.set()
        running.wait_for(done=4, failed=1)
        wait_until(lambda: running.daemon.snapshot().active == ())
    renderer.close()
    assert len(outputs(tmp_path / "out")) == 4


def test_who_stands_back_goes_on_no_further_until_it_begins_again() -> None:
    (task,) = tasks(1)
    assert not task.stand_back(), "it is not being read"
    task.is_begun, task.stage = True, READING
    assert task.has_read_for(0.0)
    assert not task.has_read_for(60.0)
    assert task.stand_back()
    assert not task.is_begun
    with pytest.raises(PictureLost):
        task.go_on("decoding")
    task.begin_again()
    task.stage = READING
    task.go_on("decoding")
    assert not task.stand_back()

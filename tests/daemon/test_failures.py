"""R9, R10, R11 in part: a bad file spoils nothing but itself, passing trouble passes, and the loop goes
on.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import publish
from deepdream_engine.errors import ModelUnavailable
from tests.daemon.stub import (
    Running,
    StubRenderer,
    drop,
    is_whole_dream,
    make_settings,
    outputs,
    temps,
    wait_until,
)


def test_one_poisoned_picture_among_32_costs_its_neighbours_nothing_but_ten_passes(tmp_path: Path) -> None:
    renderer = StubRenderer()
    gate = threading.Event()

    def wait(_: bytes) -> None:
        gate.wait()

    renderer.before_prepare = wait
    settings = make_settings(tmp_path, max_attempts=1, engine=EngineSettings(max_batch=32))
    for number in range(31):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    drop(tmp_path / "in" / "poison.jpg", "poison")
    with Running(settings, renderer) as running:
        wait_until(lambda: running.counts()["running"] == 32)
        gate.set()
        running.wait_for(done=31, failed=1)
    assert len(renderer.batches) <= 1 + 10
    (record,) = outputs(tmp_path / "state" / "quarantine")
    facts = json.loads(record.read_text())
    assert facts["path"].endswith("poison.jpg")
    assert "poisoned" in facts["reason"]
    assert facts["advice"]


def test_an_engine_fault_is_tried_three_times_with_growing_pauses(tmp_path: Path) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "fault")
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
    assert len(renderer.batches) == 3
    journal = Journal.open(settings.state, read_only=True)
    (job,) = journal.of_path(photo)
    journal.close()
    times = [at for at, what in job.history if what.startswith(("put off", "failed"))]
    assert 1.0 <= times[1] - times[0] < 2.0 <= times[2] - times[1] < 4.0
    assert job.attempts == 3


def test_retry_dreams_a_failed_picture_after_all(tmp_path: Path) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    trouble = [True]

    def fail(_: bytes) -> None:
        if trouble[0]:
            raise ValueError("a plugin raised")

    renderer.before_finish = fail
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
        trouble[0] = False
        journal = Journal.open(settings.state)
        assert journal.retry(photo) == 1
        journal.close()
        running.wait_for(failed=0, done=1)
    assert outputs(tmp_path / "state" / "quarantine") == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "I/O error"),
        MemoryError(),
        ModelUnavailable("no weights"),
        OSError(errno.EMFILE, ""),
    ],
)
def test_passing_trouble_is_waited_out_without_using_up_attempts(tmp_path: Path, error: Exception) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    trouble = iter([error])

    def fail(_: bytes) -> None:
        for raised in trouble:
            raise raised

    renderer.before_prepare = fail
    with Running(settings, renderer) as running:
        running.wait_for(waiting=1)
        running.wait_for(done=1)
    journal = Journal.open(settings.state, read_only=True)
    (job,) = journal.of_path(photo)
    journal.close()
    assert job.attempts == 0
    assert any(what.startswith("put off") for _, what in job.history)


class _FullDisk:
    """Every write of a temp file, or every link, fails as on a full disk until there is space again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        self.is_full = True
        real: dict[str, Any] = {"fsync": os.fsync, "link": os.link, "posix_fallocate": os.posix_fallocate}

        def failing(name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if self.is_full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real[name](*args, **kwargs)

            return call

        class Os:
            """The module ``os`` as ``publish`` sees it."""

            def __getattr__(self, name: str) -> Any:
                return failing(name) if name in {where, "posix_fallocate"} else getattr(os, name)

        monkeypatch.setattr(publish, "os", Os())


@pytest.mark.parametrize("where", ["fsync", "link"])
def test_a_full_disk_pauses_publishing_until_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    disk = _FullDisk(monkeypatch, where)
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(100):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: "No space left" in (running.daemon.snapshot().degraded or ""))
        time.sleep(1.5)
        assert renderer.prepared <= 2 * settings.engine.max_batch + 2  # it does not dream in vain
        assert running.counts()["failed"] == running.counts()["done"] == 0
        assert outputs(tmp_path / "out") == []
        disk.is_full = False
        running.wait_for(60, done=100)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert len(outputs(tmp_path / "out")) == 100
    assert all(is_whole_dream(path) for path in outputs(tmp_path / "out"))
    assert temps(tmp_path / "out") == []


def test_an_output_folder_that_is_away_is_not_made_anew_but_waited_for(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    (tmp_path / "out").rename(tmp_path / "unmounted")
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        wait_until(lambda: "output folder" in (running.daemon.snapshot().degraded or ""))
        assert not (tmp_path / "out").exists()
        (tmp_path / "unmounted").rename(tmp_path / "out")
        running.wait_for(done=1)


def test_an_output_folder_does_not_lead_elsewhere(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "sub").mkdir()
    drop(tmp_path / "in" / "sub" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(failed=1)
    assert outputs(tmp_path / "elsewhere") == []


def test_outputs_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert publish.publish_unique(tmp_path, "photo.jpg", b"x").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)

"""R10: outputs that cannot be written hold up what would go there, and nothing else; no dream is lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.publishing import publish
from tests.daemon.stub import (
    Running,
    StubRenderer,
    drop,
    is_whole_dream,
    jobs_of,
    make_settings,
    outputs,
    temps,
    wait_until,
)


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


def test_a_full_disk_costs_no_more_than_the_batch_that_met_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _FullDisk(monkeypatch, "fsync")
    renderer = StubRenderer(dream_seconds=0.1)
    dreamt: list[bytes] = []
    renderer.before_dream = dreamt.append
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(60):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: "No space left" in (running.daemon.snapshot().degraded or ""))
        running.wait_for(running=0, publishing=0)
        time.sleep(0.5)
        assert len(dreamt) <= settings.engine.max_batch
        counts = running.counts()
        assert counts["queued"] + counts["waiting"] == 60
        assert running.daemon.snapshot().active == ()
        disk.is_full = False
        running.wait_for(30, done=60)


def test_a_picture_developed_while_the_gate_closes_is_not_dreamt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _FullDisk(monkeypatch, "fsync")
    renderer = StubRenderer()
    dreamt: list[bytes] = []
    renderer.before_dream = dreamt.append
    is_degraded = threading.Event()

    def wait(data: bytes) -> None:
        if b"late" in data:
            is_degraded.wait(10)

    renderer.before_prepare = wait
    settings = make_settings(tmp_path)
    for name in ("early", "late"):
        drop(tmp_path / "in" / f"{name}.jpg", name)
    with Running(settings, renderer) as running:
        wait_until(lambda: running.daemon.snapshot().degraded is not None)
        is_degraded.set()
        running.wait_for(running=0)
        assert dreamt == [b"early"]
        disk.is_full = False
        running.wait_for(done=2)


class _ReadOnly:
    """The module ``os`` as ``publish`` sees it when nothing can be made in some directories."""

    def __init__(self, *directories: Path) -> None:
        self.directories = set(directories)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and path.parent in self.directories:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return os.open(path, flags, mode)


def test_a_directory_that_cannot_be_written_to_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = _ReadOnly(tmp_path / "out" / "ro")
    monkeypatch.setattr(publish, "os", guard)
    settings = make_settings(tmp_path, max_attempts=1)
    for name in ("ro", "rw", "ro/sub"):
        (tmp_path / "in" / name).mkdir()
    for number in range(30):
        drop(tmp_path / "in" / "ro" / f"{number}.jpg", f"closed {number}")
        drop(tmp_path / "in" / "rw" / f"{number}.jpg", f"open {number}")
    drop(tmp_path / "in" / "ro" / "sub" / "photo.jpg", "open below")
    drop(tmp_path / "in" / "photo.jpg", "open above")
    renderer = StubRenderer(dream_seconds=0.03)
    dreamt: list[bytes] = []
    renderer.before_dream = dreamt.append
    with Running(settings, renderer) as running:
        running.wait_for(done=32, waiting=30)
        degraded = running.daemon.snapshot().degraded or ""
        assert degraded.count("output folder") == 1
        assert repr(str(tmp_path / "out" / "ro")) in degraded
        assert sum(b"closed" in text for text in dreamt) <= 2 * settings.engine.max_batch
        late = drop(tmp_path / "in" / "ro" / "late.jpg", "closed late")
        wait_until(lambda: [job.state for job in jobs_of(tmp_path, late)] == ["waiting"])
        assert b"closed late" not in dreamt
        guard.directories.clear()
        running.wait_for(done=63)
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_an_output_folder_whose_root_cannot_be_written_to_is_held_up_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = _ReadOnly(tmp_path / "out", tmp_path / "out" / "sub")
    monkeypatch.setattr(publish, "os", guard)
    settings = make_settings(tmp_path)
    (tmp_path / "in" / "sub").mkdir()
    for number in range(30):
        drop(tmp_path / "in" / "sub" / f"{number}.jpg", f"sky {number}")
    with Running(settings) as running:
        wait_until(lambda: repr(str(tmp_path / "out")) in (running.daemon.snapshot().degraded or ""))
        guard.directories.clear()
        running.wait_for(done=30)


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

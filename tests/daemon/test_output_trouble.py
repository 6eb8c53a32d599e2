"""R10: outputs that cannot be written hold up what would go there, and nothing else; no dream is lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import claiming, gates, outlets, pipeline, stages
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.threads import pool_size
from deepdream_daemon.publishing import linking, publish
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
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
        real: dict[str, Any] = {"fsync": os.fsync, "link": os.link}

        def failing(name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if self.is_full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real[name](*args, **kwargs)

            return call

        class Os:
            """The module ``os`` as publishing sees it."""

            def __getattr__(self, name: str) -> Any:
                return failing(name) if name == where else getattr(os, name)

        for module in (publish, linking):
            monkeypatch.setattr(module, "os", Os())


@pytest.mark.parametrize("where", ["fsync", "link"])
def test_a_full_disk_pauses_publishing_until_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    disk = _FullDisk(monkeypatch, where)
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(50):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: "No space left" in (running.daemon.snapshot().degraded or ""))
        time.sleep(0.5)
        assert renderer.prepared <= 2 * settings.engine.max_batch + pool_size()  # it does not dream in vain
        assert running.counts()["failed"] == running.counts()["done"] == 0
        assert outputs(tmp_path / "out") == []
        disk.is_full = False
        running.wait_for(60, done=50)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert len(outputs(tmp_path / "out")) == 50
    assert all(is_whole_dream(path) for path in outputs(tmp_path / "out"))
    assert temps(tmp_path / "out") == []


def test_a_full_disk_costs_no_more_than_what_was_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _FullDisk(monkeypatch, "fsync")
    renderer = StubRenderer(dream_seconds=0.05)
    dreamt: list[bytes] = []
    renderer.before_dream = dreamt.append
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(30):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: "No space left" in (running.daemon.snapshot().degraded or ""))
        running.wait_for(running=0, publishing=0)
        time.sleep(0.5)
        # Those in flight, and those that took the place of the first ones before the disk had answered.
        assert len(dreamt) <= settings.engine.max_batch + 2
        counts = running.counts()
        assert counts["queued"] + counts["waiting"] == 30
        wait_until(lambda: running.daemon.snapshot().active == ())
        disk.is_full = False
        running.wait_for(30, done=30)


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
            is_degraded.wait(60)

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

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and dir_fd is not None:
            made_in = os.fstat(dir_fd)
            if any(each.exists() and os.path.samestat(made_in, each.stat()) for each in self.directories):
                raise PermissionError(errno.EACCES, "Permission denied", path)
        return os.open(path, flags, mode, dir_fd=dir_fd)


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


class _Io:
    """The module ``os`` as ``publish`` sees it on a disk that takes data, but not for good."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, number: int) -> None:
        raise OSError(errno.EIO, "Input/output error")


def test_the_probe_meets_what_publishing_meets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish.check_space(tmp_path, 100_000, "token")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(publish, "os", _Io())
    with pytest.raises(OSError, match="Input/output"):
        publish.check_space(tmp_path, 100_000, "token")
    assert list(tmp_path.iterdir()) == []


def test_a_target_whose_probes_promise_too_much_is_dreamt_for_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(stages, "stage", fail)  # and the probe succeeds
    monkeypatch.setattr(gates, "FIRST_SECONDS", 0.2)
    monkeypatch.setattr(pipeline, "MEND_SECONDS", 0.02)
    renderer = StubRenderer()
    dreamt: list[float] = []
    renderer.before_dream = lambda _: dreamt.append(time.monotonic())
    settings = make_settings(tmp_path, max_attempts=1)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer):
        wait_until(lambda: len(dreamt) > 0)
        time.sleep(2.0)  # with a probe every 0.2 s it would be dreamt about seven times
        assert 2 <= sum(at - dreamt[0] < 2.0 for at in dreamt) <= 4


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "state")
    yield opened
    opened.close()


def _trouble(root: Path) -> tuple[FolderSettings, OutputUnavailable]:
    folder = FolderSettings(input=root / "in", output=root / "out")
    return folder, OutputUnavailable(root / "out" / "sub", 1, OSError(errno.EIO, "Input/output error"))


def _queue(journal: Journal, root: Path, *names: str) -> None:
    for name in names:
        job = NewJob(key=name, folder=root / "in", sha256="", recipe="classic", seed=1)
        journal.record([Taken(path=root / "in" / "sub" / name, fingerprint="1", job=job)])


def test_a_gate_that_closes_again_soon_is_probed_later(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, reason = _trouble(tmp_path)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    gates = Gates(journal, lambda change: change())

    def delay() -> float:
        """Close it, see when it is probed, and open it."""
        nonlocal now
        gates.close(folder, reason)
        closed = now
        while not gates.to_probe():
            now += 0.5
        gates.open(folder, reason.directory)
        return now - closed

    assert [delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    now += 601
    assert delay() == 1, "it was well for long enough"


def test_what_is_written_late_does_not_set_jobs_aside_for_a_gate_that_is_open(tmp_path: Path, journal: Journal) -> None:
    folder, reason = _trouble(tmp_path)
    _queue(journal, tmp_path, "a.jpg")
    later: list[Callable[[], None]] = []
    is_locked = True
    gates = Gates(journal, lambda change: later.append(change) if is_locked else change())
    gates.close(folder, reason)
    is_locked = False
    gates.open(folder, reason.directory)
    for change in later:
        change()
    assert (journal.counts()["queued"], journal.holds()) == (1, [])
    assert len(journal.claim(1, [folder.input])) == 1


def test_a_gate_that_opens_leaves_the_other_delays_alone(tmp_path: Path, journal: Journal) -> None:
    folder, reason = _trouble(tmp_path)
    _queue(journal, tmp_path, "weights.jpg")
    (claim,) = journal.claim(1, [folder.input])
    due = time.time() + 60
    journal.put_off(claim.id, due=due, attempts=0, delays=1, error="the weights cannot be had", advice="Go online.")
    _queue(journal, tmp_path, "held.jpg")
    gates = Gates(journal, lambda change: change())
    gates.close(folder, reason)
    assert journal.counts()["waiting"] == 2
    gates.open(folder, reason.directory)
    (job,) = journal.recent("waiting", 5)
    assert (job.source.name, job.due, job.error) == ("weights.jpg", due, "the weights cannot be had")
    assert [claim.source.name for claim in journal.claim(5, [folder.input])] == ["held.jpg"]


def test_what_is_closed_is_still_told_when_a_former_configuration_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go of the gates that it has closed itself, and they may be the same."""
    monkeypatch.setattr(gates, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(claiming, "SPACE_SECONDS", 0.0)
    out, goes_on, is_full = tmp_path / "out", threading.Event(), threading.Event()

    def check_floor(*_: object) -> None:
        if is_full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")

    for module in (claiming, outlets):
        monkeypatch.setattr(module, "check_floor", check_floor)
    with Reloadable(tmp_path) as daemon:
        daemon.renderers[0].before_dream = lambda _: goes_on.wait(60) and None
        drop(tmp_path / "in" / "1.jpg", "sky")
        wait_until(lambda: any(each.stage == "dreaming" for each in daemon.snapshot().active))
        is_full.set()
        drop(tmp_path / "in" / "2.jpg", "sea")
        wait_until(lambda: _held(tmp_path) == [out])
        daemon.write(f"{FOLDER}priority = 1\n{QUICK}")
        daemon.wait_for_generation(2)
        time.sleep(0.3)  # the second closes it too
        goes_on.set()
        wait_until(lambda: daemon.snapshot().counts["running"] == 0 and _works(daemon) == 1)
        wait_until(lambda: _held(tmp_path) == [out])
        is_full.clear()
        wait_until(lambda: daemon.snapshot().counts["done"] == 2)
        wait_until(lambda: _held(tmp_path) == [])


def _works(daemon: Reloadable) -> int:
    assert daemon.daemon._generations is not None
    return len(daemon.daemon._generations._works)


def _held(root: Path) -> list[Path]:
    journal = Journal.open(root / "state", read_only=True)
    try:
        return [hold.directory for hold in journal.holds()]
    finally:
        journal.close()

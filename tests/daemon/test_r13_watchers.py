"""R13: any thread of any watch dies: noticed within 10 s, started again, its folder scanned, counted."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.api import BaseObserver

from deepdream_daemon.intake import mounts, watch
from deepdream_daemon.intake.hints import Hints
from deepdream_daemon.intake.missed import Unhinted
from deepdream_daemon.intake.watch import Watcher
from tests.daemon.stub import Running, drop, make_settings, wait_until

NOTICED_SECONDS = 10.0
THREADS = ("observer", "emitter", "reader")


def _victim(observer: BaseObserver, thread: str) -> threading.Thread:
    if thread == "observer":
        return observer
    if thread == "emitter":
        return next(iter(observer.emitters))
    reader = getattr(observer, "_inotify_fd", None)
    if reader is None:
        pytest.skip("only Linux has a thread that reads for all")
    assert isinstance(reader, threading.Thread)
    return reader


def _kill(victim: threading.Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a thread as an exception in it would: nothing is cleaned up."""
    monkeypatch.setattr(victim, "should_keep_running", lambda: False)


@pytest.mark.parametrize("thread", THREADS)
def test_a_watch_whose_thread_died_is_noticed_restarted_scanned_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thread: str
) -> None:
    settings = make_settings(tmp_path, rescan_seconds=3600.0)
    made: list[Watcher] = []

    def make(*args: Any) -> Watcher:
        made.append(Watcher(*args))
        return made[0]

    monkeypatch.setattr("deepdream_daemon.intake.intake.Watcher", make)
    with Running(settings) as running:
        wait_until(lambda: bool(made and made[0]._watches))
        observer = made[0]._watches[tmp_path / "in"].observer
        assert observer is not None
        victim = _victim(observer, thread)
        _kill(victim, monkeypatch)
        nudge = tmp_path / "in" / "nudge.part"  # a thread notices at its next event
        wait_until(lambda: nudge.write_bytes(b"") == 0 and not victim.is_alive())
        died = time.monotonic()
        drop(tmp_path / "in" / "lost.jpg", "nobody tells of it")
        wait_until(lambda: running.daemon.snapshot().watcher_restarts == 1, NOTICED_SECONDS)
        assert time.monotonic() - died < NOTICED_SECONDS
        running.wait_for(done=1)
        drop(tmp_path / "in" / "photo.jpg", "the new watch tells of it")
        running.wait_for(done=2)
        assert running.daemon.snapshot().watcher_restarts == 1


@pytest.mark.parametrize("thread", THREADS)
def test_one_watcher_after_another_leaves_no_thread_and_no_descriptor(tmp_path: Path, thread: str) -> None:
    hints = Hints()
    watcher = Watcher([tmp_path], hints)
    watcher.tend()
    before = _open_things()
    for turn in range(5):
        observer = watcher._watches[tmp_path].observer
        assert observer is not None
        victim = _victim(observer, thread)
        victim.stop()  # type: ignore[attr-defined]
        victim.join(60)
        assert watcher.tend() == [tmp_path]
        assert watcher.restarts == turn + 1
        drop(tmp_path / f"{turn}.jpg", "x")
        assert hints.drain(60)[0] == [tmp_path / f"{turn}.jpg"]
        time.sleep(0.05)
        hints.drain(0.2)
    # What earlier tests had left may end meanwhile.
    wait_until(lambda: all(now <= then for now, then in zip(_open_things(), before, strict=True)), what=_open_things)
    watcher.stop()


def _open_things() -> tuple[int, int]:
    descriptors = Path("/proc/self/fd")
    count = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    return count, sum(thread.is_alive() for thread in threading.enumerate())


def test_a_watch_that_cannot_be_made_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    watcher = Watcher([tmp_path], Hints())
    monkeypatch.setattr(BaseObserver, "on_thread_start", no_more)
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.0)
    watcher.tend()
    before = _open_things()
    for _ in range(5):
        watcher.tend()
    wait_until(lambda: _open_things() == before, what=_open_things)
    assert "scanned instead" in watcher.problems[tmp_path]


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_missed_when_no_hint_of_it_or_its_folder_comes_in_time() -> None:
    clock = _Clock()
    unhinted = Unhinted(5.0, clock)
    folder = Path("/in/album")
    for name in ("a", "b", "c"):
        unhinted.found(folder / name)
    clock.now = 4.9
    assert unhinted.missed() == []
    unhinted.hinted([folder / "b"])
    clock.now = 5.0
    assert unhinted.missed() == [folder / "a", folder / "c"]
    unhinted.found(folder / "d")
    unhinted.hinted([folder])
    clock.now = 10.0
    assert unhinted.missed() == []
    unhinted.found(folder / "d")  # the hint of before was of something else
    clock.now = 15.0
    assert unhinted.missed() == [folder / "d"]


def _silence(watcher: Watcher, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the watch of a folder tell of nothing, though all of its threads live."""
    observer = watcher._watches[folder].observer
    assert observer is not None
    for emitter in observer.emitters:
        monkeypatch.setattr(emitter, "queue_event", lambda event: None)


def test_a_watch_that_misses_files_is_started_again_and_at_last_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = Hints()
    clock = _Clock()
    hints.unhinted = Unhinted(1.0, clock)
    watcher = Watcher([tmp_path], hints)
    watcher.tend()
    for turn in range(watch.MISSES):
        assert watcher.is_watched(tmp_path)
        _silence(watcher, tmp_path, monkeypatch)
        time.sleep(0.02)
        watcher.found(drop(tmp_path / f"{turn}.jpg", "x"))
        assert watcher.tend() == []
        clock.now += 1.0
        hints.drain(0.01)
        assert watcher.tend() == [tmp_path]  # it is scanned, since there may be more
        assert watcher.found_by_rescan == turn + 1
    assert not watcher.is_watched(tmp_path)
    assert "scanned instead" in watcher.problems[tmp_path]
    watcher.found(drop(tmp_path / "more.jpg", "x"))
    assert watcher.found_by_rescan == watch.MISSES + 1
    assert watcher.tend() == []
    monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + watch.DISTRUST_SECONDS)
    assert watcher.tend() == [tmp_path]  # events get another chance
    assert watcher.is_watched(tmp_path)
    watcher.stop()


def test_files_that_lay_there_before_are_not_missed(tmp_path: Path) -> None:
    hints = Hints()
    hints.unhinted = Unhinted(0.0)
    old = drop(tmp_path / "old.jpg", "x")
    time.sleep(0.02)
    watcher = Watcher([tmp_path], hints)
    watcher.tend()
    watcher.found(old)
    assert (watcher.tend(), watcher.found_by_rescan, watcher.restarts) == ([], 0, 0)
    watcher.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is inotify's")
def test_a_sub_folder_beyond_the_limit_of_watches_is_told_of_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = Hints()
    hints.unhinted = Unhinted(0.0)
    watcher = Watcher([tmp_path], hints)
    (tmp_path / "album").mkdir()
    watcher.tend()
    reader = watcher._watches[tmp_path].reader

    def no_more(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(reader, "add_callback", no_more)
    time.sleep(0.02)
    watcher.found(drop(tmp_path / "album" / "photo.jpg", "x"))
    assert watcher.tend() == []
    assert "max_user_watches" in watcher.problems[tmp_path]
    assert not watcher.is_watched(tmp_path)  # so every rescan looks at every file
    assert watcher.restarts == 0
    watcher.stop()


MOUNTS = [
    ("/", "ext4"),
    ("/mnt/nas", "nfs4"),
    ("/mnt/nas/local", "xfs"),
    ("/home", "btrfs"),
    ("/home/user/cloud", "fuse.rclone"),
    ("/media/share", "cifs"),
    ("/media/share", "ext4"),
]


@pytest.mark.parametrize(
    ("folder", "remote"),
    [
        ("/srv/in", False),
        ("/mnt/nas/in", True),
        ("/mnt/nas", True),
        ("/mnt/nasty/in", False),
        ("/mnt/nas/local/in", False),
        ("/home/user/cloud/in", True),
        ("/media/share/in", False),  # another disk was mounted over it
    ],
)
def test_folders_on_network_file_systems_are_recognised_by_their_mount(folder: str, remote: bool) -> None:
    assert mounts.is_remote(mounts.kind_of(Path(folder), MOUNTS)) is remote


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "drvfs", "smbfs", "NFS"])
def test_kinds_that_tell_of_nothing(kind: str) -> None:
    assert mounts.is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk", ""])
def test_kinds_that_tell(kind: str) -> None:
    assert not mounts.is_remote(kind)


def test_this_machine_has_mounts() -> None:
    assert mounts.kind_of(Path("/"), mounts.all_mounts()) != ""


@pytest.mark.parametrize("why", ["asked for", "nfs4"])
def test_a_polled_folder_is_scanned_and_never_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why != "asked for":
        monkeypatch.setattr(mounts, "all_mounts", lambda: [(str(tmp_path), why)])
    hints = Hints()
    watcher = Watcher([tmp_path], hints, [tmp_path] if why == "asked for" else [])
    assert watcher.tend() == [tmp_path]
    assert (watcher.tend(), watcher.problems) == ([], {})  # as it should be: no trouble
    assert tmp_path in watcher.polled
    assert not watcher.is_watched(tmp_path)
    watcher.found(drop(tmp_path / "photo.jpg", "x"))
    assert hints.drain(0.2) == ([], False)
    assert watcher.found_by_rescan == 1
    watcher.stop()

"""What is whole, what is looked at, and how often: settling, scanning and watching one by one."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import IGNORE
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.hints import Hints
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.scan import walk
from deepdream_daemon.intake.settle import Settler
from deepdream_daemon.intake.watch import Watcher
from deepdream_engine.errors import BadPicture
from tests.daemon.stub import Running, drop, make_settings, wait_until

PHOTO = Path("/in/photo.jpg")


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_due_when_it_was_quiet_for_long_enough() -> None:
    clock = _Clock()
    settler = Settler(2.0, clock)
    settler.see(PHOTO, "a")
    clock.now += 1.9
    assert settler.due(10) == []
    assert settler.next_due() == pytest.approx(0.1)
    clock.now += 0.2
    assert settler.due(10) == [PHOTO]
    assert settler.confirm(PHOTO, "a")
    assert len(settler) == 0


def test_any_change_starts_the_quiet_time_again() -> None:
    clock = _Clock()
    settler = Settler(2.0, clock)
    settler.see(PHOTO, "a")
    clock.now += 1.5
    settler.see(PHOTO, "b")
    clock.now += 1.5
    assert settler.due(10) == []
    clock.now += 0.6
    assert settler.due(10) == [PHOTO]
    assert not settler.confirm(PHOTO, "c")
    assert settler.due(10) == []
    clock.now += 2.1
    assert settler.due(10) == [PHOTO]


def test_seeing_the_same_again_does_not_make_it_wait_longer() -> None:
    clock = _Clock()
    settler = Settler(2.0, clock)
    for _ in range(4):
        settler.see(PHOTO, "a")
        clock.now += 0.7
    assert settler.due(10) == [PHOTO]
    settler.forget(PHOTO)
    assert len(settler) == 0


def _no_error(folder: Path, error: OSError) -> None:
    raise AssertionError(folder) from error


def _known_files(root: Path) -> dict[Path, dict[str, str]]:
    known: dict[Path, dict[str, str]] = {}
    for path in walk(root, lambda _: {}, IGNORE, look_at_all=True, on_error=_no_error):
        known.setdefault(path.parent, {})[path.name] = sources.fingerprint(path)
    return known


def test_a_walk_yields_only_what_is_new_or_has_another_side_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "sub/b.jpg", "c.part", ".d.jpg", "a.jpg.toml"):
        drop(tmp_path / name, name)
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    os.mkfifo(tmp_path / "fifo")
    known = _known_files(tmp_path)
    assert {path for path, names in known.items() for _ in names} == {tmp_path, tmp_path / "sub"}

    def again() -> list[Path]:
        found = walk(tmp_path, lambda at: known.get(at, {}), IGNORE, look_at_all=False, on_error=_no_error)
        return list(found)

    assert again() == []
    new = drop(tmp_path / "new.jpg", "new")
    drop(tmp_path / "sub" / "b.jpg.toml", "side")
    (tmp_path / "a.jpg.toml").unlink()
    assert sorted(again()) == [tmp_path / "a.jpg", new, tmp_path / "sub" / "b.jpg"]


def test_reading_never_follows_a_link_nor_waits_for_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(drop(tmp_path / "photo", "x"))
    for name in ("fifo", "link"):
        with pytest.raises(sources.Changed):
            sources.read(tmp_path / name, 100, keep=True)


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="max_megapixels"):
        sources.read(drop(tmp_path / "photo", "x" * 200), 100, keep=True)


def test_a_folder_replaced_by_an_empty_one_is_away(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    roots = Roots([folder])
    assert roots.is_there(folder)
    folder.rename(tmp_path / "moved")
    assert roots.away() == [folder]
    folder.mkdir()
    assert roots.away() == [folder]
    drop(folder / "photo.jpg", "x")
    assert roots.there() == [folder]


def test_hints_are_put_once_and_tell_when_they_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.intake.hints.MAX_HINTS", 3)
    hints = Hints()
    for name in ("a", "a", "b"):
        hints.put(Path(name))
    assert hints.drain(0.01) == ([Path("a"), Path("b")], False)
    for name in "abcde":
        hints.put(Path(name))
    assert hints.drain(0.01)[1]
    assert hints.drain(0.01) == ([], False)


@pytest.mark.parametrize("thread", ["observer", "emitter", "reader"])
def test_r13_a_watch_whose_thread_died_is_started_again(tmp_path: Path, thread: str) -> None:
    hints = Hints()
    watcher = Watcher([tmp_path], hints)
    assert watcher.tend() == [tmp_path]
    assert watcher.tend() == []
    observer = watcher._watches[tmp_path].observer
    assert observer is not None
    victim = {
        "observer": observer,
        "emitter": next(iter(observer.emitters)),
        "reader": getattr(observer, "_inotify_fd", observer),
    }[thread]
    victim.stop()
    victim.join(60)
    assert watcher.tend() == [tmp_path]
    assert watcher.restarts == 1
    drop(tmp_path / "photo.jpg", "x")
    assert hints.drain(5)[0] == [tmp_path / "photo.jpg"]
    watcher.stop()


def test_without_any_events_scanning_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_inotify(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("deepdream_daemon.intake.watch.Observer", no_inotify)
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        wait_until(lambda: "scanned instead" in (running.daemon.snapshot().degraded or ""))
        photo = drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(done=1)
        drop(photo, "changed in place")
        running.wait_for(done=2)
        drop(tmp_path / "in" / "later.jpg", "sea")  # the first scan, which is none again, is over by now
        running.wait_for(done=3)
        wait_until(lambda: running.daemon.snapshot().found_by_rescan >= 1)


def test_a_directory_moved_in_is_seen_before_the_next_scan(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, rescan_seconds=3600.0)
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    for number in range(20):
        drop(made / "deep" / f"{number}.jpg", f"sky {number}")
    with Running(settings) as running:
        wait_until(lambda: threading.active_count() > 5)
        time.sleep(0.5)
        made.rename(tmp_path / "in" / "made")
        running.wait_for(done=20)
        drop(tmp_path / "in" / "made" / "deep" / "late.jpg", "late")
        running.wait_for(done=21)
        assert running.counts()["done"] == 21
    assert (tmp_path / "out" / "made" / "deep" / "late.deep.jpg").exists() or (
        tmp_path / "out" / "made" / "deep" / "late.classic.jpg"
    ).exists()

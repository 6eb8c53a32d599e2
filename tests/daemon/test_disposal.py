"""What becomes of a picture once its dream is safe: it is kept, moved, put into the trash or deleted, and nothing else
is ever touched.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import Disposal, FolderSettings, Settings
from deepdream_daemon.disposal import disposer, lane, moving
from deepdream_daemon.disposal.aside import Aside
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, wait_until


def _settings(root: Path, source: Disposal, **changes: object) -> Settings:
    settings = make_settings(root, **changes)
    (root / "processed").mkdir(exist_ok=True)
    folder = FolderSettings(input=root / "in", output=root / "out", source=source, processed=root / "processed")
    return replace(settings, folders=(folder,))


def _names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def _disposal(root: Path, photo: Path) -> str:
    journal = Journal.open(root / "state", read_only=True)
    try:
        job = jobs_of(root, photo)[0]
        return str(journal.disposal(job.id))
    finally:
        journal.close()


@pytest.fixture(autouse=True)
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trash that is no desktop's; and what fails is tried again sooner than daemons do."""
    place = tmp_path / "trash"
    place.mkdir()

    def put(path: Path) -> None:
        path.rename(place / path.name)

    monkeypatch.setattr(disposer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(lane, "delay_seconds", lambda attempts: 0.2 * 2**attempts)
    monkeypatch.setattr(Disposer.__init__, "__kwdefaults__", {**Disposer.__init__.__kwdefaults__, "trash": put})
    return place


def test_by_default_a_picture_stays(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    assert photo.exists()
    assert _disposal(tmp_path, photo) == "None"


def test_a_picture_is_moved_when_its_dream_is_there(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    (tmp_path / "in" / "deep").mkdir()
    photo = drop(tmp_path / "in" / "deep" / "photo.jpg", "sky")
    data = photo.read_bytes()
    moved = tmp_path / "processed" / "deep" / "photo.jpg"
    with Running(settings) as running:
        running.wait_for(done=1)
        wait_until(lambda: _names(tmp_path / "in") == [])
        assert moved.read_bytes() == data
        wait_until(lambda: "moved to" in _disposal(tmp_path, photo))
        # It is not taken for a new picture, wherever it is.
        running.daemon.snapshot()
        assert running.counts()["queued"] == 0
    assert _names(tmp_path / "in") == []
    assert str(moved) in _disposal(tmp_path, photo)
    assert len(outputs(tmp_path / "out")) == 1
    assert jobs_of(tmp_path, photo)[0].history[-1][1] == f"moved to {str(moved)!r}"


def test_nothing_that_was_moved_before_is_replaced(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    (tmp_path / "processed" / "photo.jpg").write_text("an older one")
    (tmp_path / "processed" / "photo-2.jpg.toml").write_text("steps = 1")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    photo.with_name("photo.jpg.toml").write_text("steps = 2\n")
    with Running(settings):
        wait_until(lambda: _names(tmp_path / "in") == [])
    assert (tmp_path / "processed" / "photo.jpg").read_text() == "an older one"
    # The picture and its side file keep together, so both have a name that neither has been given before.
    assert (tmp_path / "processed" / "photo-3.jpg").read_bytes() == b"PICTURE sky"
    assert (tmp_path / "processed" / "photo-3.jpg.toml").read_text() == "steps = 2\n"


@pytest.mark.parametrize(("source", "word"), [("delete", "was deleted"), ("trash", "was put into the trash")])
def test_a_picture_is_deleted_or_put_into_the_trash(tmp_path: Path, trash: Path, source: Disposal, word: str) -> None:
    settings = _settings(tmp_path, source)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings):
        wait_until(lambda: _names(tmp_path / "in") == [])
        wait_until(lambda: word in _disposal(tmp_path, photo))
    assert _names(trash) == (["photo.jpg"] if source == "trash" else [])
    assert len(outputs(tmp_path / "out")) == 1


def test_a_bad_picture_stays(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "delete", max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "bad")
    with Running(settings) as running:
        running.wait_for(failed=1)
    assert photo.exists()


def test_what_lies_beside_goes_along_unless_another_picture_needs_it(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    folder = tmp_path / "in"
    drop(folder / "one.mask.png", "white")
    drop(folder / "two.guide.jpg", "guide")
    for name in ("one.jpg", "two.jpg"):
        drop(folder / name, name)
    drop(folder / "two.png", "bad")
    (folder / "one.jpg.toml").write_text("steps = 2\n")
    with Running(settings) as running:
        running.wait_for(done=2, failed=1)
        wait_until(lambda: _names(folder) == ["two.guide.jpg", "two.png"])
        wait_until(lambda: "stayed" in _disposal(tmp_path, folder / "two.jpg"))
    assert _names(tmp_path / "processed") == ["one.jpg", "one.jpg.toml", "one.mask.png", "two.jpg"]


def test_a_picture_that_changed_since_stays_and_is_dreamt_again(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "delete")
    renderer = StubRenderer()
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    link = tmp_path / "hidden"
    with _held_back(settings) as release, Running(settings, renderer) as running:
        running.wait_for(done=1)
        os.link(photo, link)
        photo.unlink()
        drop(photo, "another sky")
        release()
        running.wait_for(done=2)
        wait_until(lambda: _names(tmp_path / "in") == [])
    dreams = [path.read_bytes() for path in outputs(tmp_path / "out")]
    assert len(dreams) == 2
    assert any(b"another sky" in dream for dream in dreams)
    assert link.exists()


def test_a_picture_stays_when_its_dream_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.disposal.lane.MOST_LOOKS", 2)
    settings = _settings(tmp_path, "delete")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with _held_back(settings) as release, Running(settings) as running:
        running.wait_for(done=1)
        for dream in outputs(tmp_path / "out"):
            dream.unlink()
        release()
        wait_until(lambda: "not where it was published" in _disposal(tmp_path, photo))
        wait_until(lambda: "was not deleted" in _disposal(tmp_path, photo))
    assert photo.exists()


def test_a_picture_stays_when_something_else_is_where_its_dream_was(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with _held_back(settings) as release, Running(settings) as running:
        running.wait_for(done=1)
        for dream in outputs(tmp_path / "out"):
            dream.write_text("edited")
        release()
        wait_until(lambda: "not that dream" in _disposal(tmp_path, photo))
    assert photo.exists()
    assert _names(tmp_path / "processed") == []


def test_a_picture_that_is_dropped_again_is_disposed_of_again(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings):
        wait_until(lambda: not photo.exists())
        drop(photo, "sky")
        wait_until(lambda: not photo.exists())
    assert _names(tmp_path / "processed") == ["photo-2.jpg", "photo.jpg"]
    assert len(outputs(tmp_path / "out")) == 1


def test_a_failure_is_told_and_tried_again(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "move")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    (tmp_path / "processed").rmdir()
    (tmp_path / "processed").write_text("in the way")
    with Running(settings) as running:
        running.wait_for(done=1)
        wait_until(lambda: "no folder any more" in (running.daemon.snapshot().degraded or ""))
        assert photo.exists()
        assert "could not be moved" in _disposal(tmp_path, photo)


def test_other_pictures_do_not_wait_for_one_that_makes_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path, "move")
    real = os.link

    def link(source: str, target: str, **places: object) -> None:
        if source == "0.jpg" and target == "0.jpg":
            raise OSError(errno.EIO, "Input/output error")
        real(source, target, **places)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", link)
    for number in range(5):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings) as running:
        running.wait_for(done=5)
        wait_until(lambda: _names(tmp_path / "in") == ["0.jpg"])
        wait_until(lambda: "Input/output error" in (running.daemon.snapshot().degraded or ""))
        monkeypatch.setattr(os, "link", real)
        wait_until(lambda: _names(tmp_path / "in") == [])


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM])
def test_to_another_disk_it_is_copied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    settings = _settings(tmp_path, "move")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    os.utime(photo, ns=(1_000_000_000, 2_000_000_000))
    photo.chmod(0o640)
    inode = photo.stat().st_ino

    class Os:
        """The module ``os`` as ``moving`` sees it."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def link(self, *_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(moving, "os", Os())
    with Running(settings):
        wait_until(lambda: not photo.exists())
    moved = tmp_path / "processed" / "photo.jpg"
    status = moved.stat()
    assert moved.read_bytes() == b"PICTURE sky"
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (2_000_000_000, 0o640)
    assert status.st_ino != inode
    assert sorted(path.name for path in moved.parent.iterdir()) == ["photo.jpg"]


def test_the_configuration_of_today_decides(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "delete")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with _held_back(settings), Running(settings) as running:
        running.wait_for(done=1)
    with Running(_settings(tmp_path, "keep")):
        wait_until(lambda: "keeps it now" in _disposal(tmp_path, photo))
    assert photo.exists()


@pytest.mark.parametrize("operation", ["begun_disposals", "due_disposals", "end_disposal"])
def test_a_journal_that_fails_for_a_moment_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    for module in ("disposer", "lanes"):
        monkeypatch.setattr(f"deepdream_daemon.disposal.{module}.MEND_SECONDS", 0.1)
    settings = _settings(tmp_path, "move")
    real, failures = getattr(Journal, operation), iter([True])

    def fail(*args: object, **more: object) -> object:
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")
        return real(*args, **more)

    monkeypatch.setattr(Journal, operation, fail)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings):
        wait_until(lambda: not photo.exists())
        wait_until(lambda: "was moved" in _disposal(tmp_path, photo))
    assert next(failures, None) is None
    assert _names(tmp_path / "processed") == ["photo.jpg"]


def test_what_seems_to_be_put_aside_behind_a_link_is_not(tmp_path: Path) -> None:
    deep, elsewhere = tmp_path / "in" / "deep", tmp_path / "elsewhere"
    aside = Aside(tmp_path / "in", deep, "instance", 7)
    for place in (deep, elsewhere / aside.place.name):
        place.mkdir(parents=True)
    drop(elsewhere / aside.place.name / "photo.jpg", "sky")
    deep.rmdir()
    deep.symlink_to(elsewhere)
    assert aside.held("photo.jpg") is None


def test_a_source_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "delete")
    deep, elsewhere = tmp_path / "in" / "deep", tmp_path / "elsewhere"
    deep.mkdir()
    photo = drop(deep / "photo.jpg", "sky")
    with _held_back(settings) as release, Running(settings) as running:
        running.wait_for(done=1)
        deep.rename(elsewhere)
        deep.symlink_to(elsewhere)
        release()
        wait_until(lambda: "the picture was " in _disposal(tmp_path, photo))
    assert (elsewhere / "photo.jpg").read_bytes() == b"PICTURE sky"


class _held_back:  # reads like a function
    """Nothing is disposed of until it is released."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._may = threading.Event()

    def __enter__(self) -> Callable[[], None]:
        self._real = Disposer.turn
        real, may = self._real, self._may

        def turn(disposer: Disposer) -> bool:
            return may.is_set() and real(disposer)

        Disposer.turn = turn  # type: ignore[method-assign]
        return may.set

    def __exit__(self, *_: object) -> None:
        Disposer.turn = self._real  # type: ignore[method-assign]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal.open(tmp_path / "state")
    yield found
    found.close()


def test_what_an_earlier_daemon_left_aside_is_given_back(tmp_path: Path, journal: Journal) -> None:
    settings = _settings(tmp_path, "delete")
    place = tmp_path / "in" / "deep" / f".deepdream-away-{journal.instance}-7"
    others = tmp_path / "in" / ".deepdream-away-another-7"
    for each in (place, others):
        each.mkdir(parents=True)
        drop(each / "photo.jpg", "sky")
    drop(tmp_path / "in" / "deep" / "photo.jpg", "a new one")
    stop = threading.Event()
    giver = Disposer(settings, journal, Roots([tmp_path / "in"]), stop, token=f"{journal.instance}-1")
    giver.start()
    wait_until(lambda: not place.exists())
    stop.set()
    giver.join(60)
    assert (tmp_path / "in" / "deep" / "photo-2.jpg").read_bytes() == b"PICTURE sky"
    assert (tmp_path / "in" / "deep" / "photo.jpg").read_bytes() == b"PICTURE a new one"
    assert (others / "photo.jpg").exists()

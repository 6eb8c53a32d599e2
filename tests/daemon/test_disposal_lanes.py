"""A disk that hangs holds up what becomes of the pictures of its own folder, and of no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal import disposer, lanes
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.disposal.lanes import MOST_AT_ONCE, Lanes
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import Running, drop, make_settings, wait_until


@contextmanager
def hanging_trash(monkeypatch: pytest.MonkeyPatch, *folders: str) -> Iterator[Callable[[], None]]:
    """What is put into the trash is deleted, but that of pictures in these folders hangs until released."""
    goes_on = threading.Event()

    def put(path: Path) -> None:
        if path.parent.name in folders:
            assert goes_on.wait(60)
        path.unlink()

    monkeypatch.setattr(disposer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(Disposer.__init__, "__kwdefaults__", {**Disposer.__init__.__kwdefaults__, "trash": put})
    try:
        yield goes_on.set
    finally:
        goes_on.set()


@contextmanager
def no_disposals() -> Iterator[None]:
    """Nothing is disposed of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disposer, "turn", lambda _: False)
        yield


def settings_of(root: Path, *names: str, **changes: Any) -> Settings:
    made = []
    for name in names:
        for place in (root / name, root / f"{name}-out"):
            place.mkdir(exist_ok=True)
        made.append(FolderSettings(input=root / name, output=root / f"{name}-out", source="trash"))
    return make_settings(root, folders=tuple(made), **changes)


def test_a_trash_that_hangs_holds_up_its_own_folder_alone_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "HANGING_SECONDS", 0.3)
    settings = settings_of(tmp_path, "slow", "quick", "other")
    with hanging_trash(monkeypatch, "slow") as release, Running(settings) as running:
        stuck = [drop(tmp_path / "slow" / f"{number}.jpg", f"sky {number}") for number in range(3)]
        running.wait_for(done=3)
        for name in ("quick", "other"):
            photo = drop(tmp_path / name / "photo.jpg", "sea")
            wait_until(lambda photo=photo: not photo.exists())  # type: ignore[misc]
        assert all(photo.exists() for photo in stuck)
        slow = repr(str(tmp_path / "slow"))
        wait_until(lambda: f"pictures of {slow} has not ended" in (running.daemon.snapshot().degraded or ""))
        journal = Journal.open(settings.state, read_only=True)  # as another process
        wait_until(lambda: any(slow in told for told in journal.noted_troubles()))
        journal.close()
        release()
        wait_until(lambda: not any(photo.exists() for photo in stuck))
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_what_hangs_of_a_former_configuration_is_not_begun_again_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, "slow", "quick")
    photos = [drop(tmp_path / name / "photo.jpg", "sky") for name in ("slow", "quick")]
    with no_disposals(), Running(settings) as running:
        running.wait_for(done=2)
    journal = Journal.open(settings.state)
    (later,) = journal.due_disposals(besides=[tmp_path / "slow"])
    journal.put_off_disposal(later, "for the second", due=time.time() + 1.0)
    stops = [threading.Event(), threading.Event()]
    with hanging_trash(monkeypatch, "slow") as release:
        roots = Roots([folder.input for folder in settings.folders])
        first, second = (Disposer(settings, journal, roots, stop, token="1-1") for stop in stops)
        first.start()
        wait_until(lambda: bool(journal.begun_disposals()))
        stops[0].set()
        first.wake()
        second.start(after=first)
        wait_until(lambda: not photos[1].exists())
        time.sleep(0.3)
        assert second._at_work.at_work() == {}, "its file is in the hands of the former one"
        assert second._folders_at_work() == {tmp_path / "slow"}
        release()
        wait_until(lambda: not photos[0].exists())
        stops[1].set()
        for each in (first, second):
            each.join(60)
            assert not each.is_alive
    journal.close()


def test_only_so_many_folders_are_worked_at_at_once() -> None:
    goes_on, begun = threading.Event(), list[int]()
    at_work = Lanes("test", threading.Event(), lambda: None)

    def work(number: int) -> None:
        begun.append(number)
        assert goes_on.wait(60)

    for number in range(MOST_AT_ONCE + 3):
        at_work.begin(Path(f"/{number}"), lambda number=number: work(number))  # type: ignore[misc]
    wait_until(lambda: len(begun) == MOST_AT_ONCE)
    time.sleep(0.1)
    assert len(begun) == MOST_AT_ONCE
    assert len(at_work.at_work()) == MOST_AT_ONCE + 3
    goes_on.set()
    at_work.join(60)
    assert at_work.at_work() == {}
    assert len(begun) == MOST_AT_ONCE + 3
    at_work.close()


def test_what_is_due_beside_folders_that_hang_is_found_however_much_is_due_there(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "slow", "quick", rescan_seconds=3600.0)
    with no_disposals(), Running(settings) as running:
        for number in range(70):  # more than are asked for at once
            drop(tmp_path / "slow" / f"{number}.jpg", f"sky {number}")
        running.wait_for(done=70)
        drop(tmp_path / "quick" / "photo.jpg", "sea")
        running.wait_for(done=71)
    journal = Journal.open(settings.state)
    assert {left.folder.name for left in journal.due_disposals()} == {"slow"}
    (left,) = journal.due_disposals(besides=[tmp_path / "slow"])
    assert left.source == tmp_path / "quick" / "photo.jpg"
    journal.close()

"""R12: an output folder, or one that pictures are moved to, that is unmounted, renamed or made anew is noticed before
anything is published into what is there instead, or a source touched; it goes on by itself when it returns.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal import lane
from tests.daemon.cli import deepdream
from tests.daemon.faults.house import House
from tests.daemon.stub import Running, StubRenderer, drop, make_settings, outputs, temps, wait_until

NOTICED_SECONDS = 30.0
AWAY_SECONDS = 0.5
"""Sources are looked at again so often here, and after 15 s in earnest."""
OTHER = "it is another folder than before"


def _settings(root: Path, **folder: object) -> Settings:
    return make_settings(root, folders=(FolderSettings(input=root / "in", output=root / "out", **folder),))  # type: ignore[arg-type]


def _is_degraded(running: Running, text: str) -> Callable[[], bool]:
    return lambda: text in (running.daemon.snapshot().degraded or "")


def _goes_on(running: Running, done: int) -> None:
    """It is back: all is dreamt in time, and nothing is wrong any more."""
    back = time.monotonic()
    running.wait_for(NOTICED_SECONDS, done=done)
    wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert time.monotonic() - back < NOTICED_SECONDS


def test_nothing_is_dreamt_for_an_output_folder_that_was_made_anew_until_the_former_one_returns(tmp_path: Path) -> None:
    renderer = StubRenderer()
    with Running(_settings(tmp_path, source="delete"), renderer) as running:
        first = drop(tmp_path / "in" / "first.jpg", "sky")
        wait_until(lambda: not first.exists())
        (tmp_path / "out").rename(tmp_path / "aside")
        (tmp_path / "out").mkdir()
        second = drop(tmp_path / "in" / "second.jpg", "sea")
        wait_until(_is_degraded(running, OTHER), NOTICED_SECONDS)
        dreamt = renderer.prepared
        third = drop(tmp_path / "in" / "third.jpg", "land")
        running.wait_for(queued=2)
        time.sleep(0.5)
        assert renderer.prepared == dreamt, "nothing more is dreamt in vain"
        assert second.exists()
        assert list((tmp_path / "out").iterdir()) == []
        (tmp_path / "out").rmdir()
        (tmp_path / "aside").rename(tmp_path / "out")
        _goes_on(running, done=3)
        wait_until(lambda: not second.exists() and not third.exists())
    assert len(outputs(tmp_path / "out")) == 3


@pytest.mark.parametrize("when", ["before the temp file is written", "before its name is announced"])
def test_a_folder_that_is_exchanged_while_a_dream_is_finished_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    out, aside = tmp_path / "out", tmp_path / "aside"
    late, is_exchanged = "late", threading.Event()

    def exchange(text: bytes) -> None:
        if late.encode() in text and not is_exchanged.is_set():
            out.rename(aside)
            out.mkdir()
            is_exchanged.set()

    renderer = StubRenderer()
    if when == "before the temp file is written":
        renderer.before_finish = exchange
    else:
        from deepdream_daemon.pipeline import stages

        real = stages.make_directory

        def made(root: Path, directory: Path) -> None:
            real(root, directory)
            if drop_.exists():
                exchange(late.encode())

        drop_ = tmp_path / "in" / "photo.jpg"
        monkeypatch.setattr(stages, "make_directory", made)
    with Running(_settings(tmp_path, source="delete"), renderer) as running:
        drop(tmp_path / "in" / "first.jpg", "sky")
        running.wait_for(done=1)
        photo = drop(tmp_path / "in" / "photo.jpg", late)
        wait_until(is_exchanged.is_set)
        wait_until(_is_degraded(running, OTHER), NOTICED_SECONDS)
        assert (outputs(out), temps(out)) == ([], [])
        assert photo.exists()
        out.rmdir()
        aside.rename(out)
        _goes_on(running, done=2)
    assert [path.name for path in outputs(out)] == ["first.classic.jpg", "photo.classic.jpg"]


def test_no_source_is_touched_while_its_output_folder_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "AWAY_SECONDS", AWAY_SECONDS)
    settings = _settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    (tmp_path / "out").rename(tmp_path / "aside")
    (tmp_path / "out").mkdir()
    with Running(_settings(tmp_path, source="delete")) as running:
        os.utime(photo)  # it is met again, and could be deleted now
        wait_until(_is_degraded(running, OTHER), NOTICED_SECONDS)
        assert photo.exists()
        (tmp_path / "out").rmdir()
        (tmp_path / "aside").rename(tmp_path / "out")
        wait_until(lambda: not photo.exists(), NOTICED_SECONDS)


def test_no_source_is_moved_into_another_folder_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "AWAY_SECONDS", AWAY_SECONDS)
    processed = tmp_path / "processed"
    processed.mkdir()
    with Running(_settings(tmp_path, source="move", processed=processed)) as running:
        drop(tmp_path / "in" / "first.jpg", "sky")
        wait_until(lambda: not (tmp_path / "in" / "first.jpg").exists())
        processed.rename(tmp_path / "aside")
        processed.mkdir()
        second = drop(tmp_path / "in" / "second.jpg", "sea")
        wait_until(_is_degraded(running, OTHER), NOTICED_SECONDS)
        assert (list(processed.iterdir()), second.exists()) == ([], True)
        processed.rmdir()
        (tmp_path / "aside").rename(processed)
        wait_until(lambda: not second.exists(), NOTICED_SECONDS)
    assert {path.name for path in processed.iterdir()} == {"first.jpg", "second.jpg"}


def test_nothing_is_copied_into_another_folder_than_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Running(_settings(tmp_path, copy_through=True)) as running:
        (tmp_path / "in" / "first.txt").write_text("first")
        wait_until((out / "first.txt").exists)
        running.wait_for(done=1)
        out.rename(tmp_path / "aside")
        out.mkdir()
        (tmp_path / "in" / "second.txt").write_text("second")
        wait_until(_is_degraded(running, OTHER), NOTICED_SECONDS)
        assert list(out.iterdir()) == []
        out.rmdir()
        (tmp_path / "aside").rename(out)
        _goes_on(running, done=2)
    assert [path.name for path in outputs(out)] == ["first.txt", "second.txt"]


def test_a_folder_that_is_restored_with_what_was_in_it_is_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Running(_settings(tmp_path)) as running:
        drop(tmp_path / "in" / "first.jpg", "sky")
        running.wait_for(done=1)
        out.rename(tmp_path / "aside")
        shutil.copytree(tmp_path / "aside", out)
        drop(tmp_path / "in" / "second.jpg", "sea")
        running.wait_for(NOTICED_SECONDS, done=2)
        wait_until(lambda: running.daemon.snapshot().degraded is None, NOTICED_SECONDS)
    assert len(outputs(out)) == 2


def test_a_new_folder_is_used_when_the_former_one_is_forgotten(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.drop("first.jpg")
    with house.running():
        house.wait_for(done=1)
        house.output.rename(tmp_path / "aside")  # were it removed, the next one might have its number
        house.output.mkdir()
        house.drop("second.jpg")
        house.wait_until(lambda _: bool(house.logged("publishing pauses")), NOTICED_SECONDS)
        command = f"deepdream forget {house.output}"
        assert command in house.logged("publishing pauses")[0]["advice"]
        told = deepdream("forget", house.output, "--config", house.config)
        assert (told.exit_code, told.stdout.splitlines()) == (0, [f"{house.output}: forgotten"])
        house.wait_for(NOTICED_SECONDS, done=2)
    assert [path.name for path in house.dreams()] == ["second.classic.jpg"]

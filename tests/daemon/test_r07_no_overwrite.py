"""R7: 1,000 same-named inputs and two daemons racing into one output folder: 1,000 outputs, none
overwritten.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import EngineSettings, FolderSettings, Settings
from deepdream_daemon.publishing.publish import publish_unique
from tests.daemon.faults.house import House
from tests.daemon.stub import Running, drop, is_whole_dream, key_of, make_settings, outputs, temps

HALF = 500


def _settings_of(root: Path, name: str, folders: int) -> Settings:
    """One daemon for half of the pictures, in so many watched folders, whose dreams all want the same name in the same
    folder: with as many folders as pictures, those are all called ``photo.jpg``."""
    inputs = [root / name / str(number) for number in range(folders)]
    for folder in inputs:
        folder.mkdir(parents=True)
        for number in range(HALF // folders):
            drop(folder / (f"{number}.jpg" if number else "photo.jpg"), f"{name} {folder.name} {number}")
    return make_settings(
        root,
        state=root / f"state-{name}",
        folders=tuple(
            FolderSettings(input=folder, output=root / "out", polling=True, name="photo.{recipe}") for folder in inputs
        ),
        rescan_seconds=5.0,
        engine=EngineSettings(max_batch=32),
    )


@pytest.mark.parametrize("folders", [5, pytest.param(HALF, marks=pytest.mark.slow)])
def test_two_daemons_race_for_one_name_in_one_folder(tmp_path: Path, folders: int) -> None:
    first, second = (_settings_of(tmp_path, name, folders) for name in "ab")
    theirs = tmp_path / "out" / "photo.classic.jpg"
    theirs.write_bytes(b"it was here before")
    with Running(first) as one, Running(second) as two:
        one.wait_for(100, done=HALF)
        two.wait_for(100, done=HALF)
    assert theirs.read_bytes() == b"it was here before"
    dreams = [path for path in outputs(tmp_path / "out") if path != theirs]
    assert {path.name for path in dreams} == {f"photo.classic-{number}.jpg" for number in range(2, 2 * HALF + 2)}
    assert len({key_of(path) for path in dreams}) == 2 * HALF
    assert all(is_whole_dream(path) for path in dreams)
    assert temps(tmp_path / "out") == []


def _race(folder: Path, turns: int) -> set[bytes]:
    """Have eight threads publish under one name, and return the contents that came about."""

    def publish(number: int) -> None:
        for turn in range(turns):
            publish_unique(folder, "photo.jpg", b"%d %d" % (number, turn))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {path.read_bytes() for path in outputs(folder)}


def test_threads_race_for_one_name(tmp_path: Path) -> None:
    assert len(_race(tmp_path, turns=50)) == 400
    assert temps(tmp_path) == []


def test_two_processes_race_into_one_folder(tmp_path: Path) -> None:
    houses = [House(tmp_path / name, output=tmp_path / "out") for name in "ab"]
    for house in houses:
        for number in range(40):
            house.drop(f"{number}.jpg", f"{house.root.name} {number}")
    with houses[0].running(), houses[1].running():
        for house in houses:
            house.wait_for(done=40, queued=0, running=0, publishing=0)
    dreams = outputs(tmp_path / "out")
    assert len(dreams) == len({key_of(path) for path in dreams}) == 80
    assert all(is_whole_dream(path) for path in dreams)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux renames without replacing")
def test_threads_race_for_one_name_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By RENAME_NOREPLACE, as on FAT and some network disks."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    results = _race(tmp_path, turns=10)
    assert len(results) == 80
    assert temps(tmp_path) == []


def test_pictures_that_differ_in_their_suffix_get_names_of_their_own(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    drop(tmp_path / "in" / "photo.png", "sea")
    with Running(settings) as running:
        running.wait_for(done=2)
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic-2.jpg", "photo.classic.jpg"]

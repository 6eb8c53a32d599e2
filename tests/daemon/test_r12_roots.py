"""R12: an input folder that is unmounted, renamed or made anew is noticed, nothing in it counts as deleted, and it goes
on by itself.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.intake.roots import Root, Roots
from deepdream_daemon.journal.journal import Journal
from tests.daemon.cli import deepdream
from tests.daemon.faults.deepdream import SECONDS
from tests.daemon.faults.house import House
from tests.daemon.faults.namespaces import Namespace
from tests.daemon.stub import Running, drop, make_settings, outputs, wait_until

NOTICED_SECONDS = 30.0
AWAY = "the input folder is away; it is waited for"


@pytest.mark.parametrize("how", ["renamed", "deleted and made anew", "replaced by a full one"])
def test_a_folder_that_goes_and_comes_back_loses_nothing(tmp_path: Path, how: str) -> None:
    settings = make_settings(tmp_path, rescan_seconds=3600.0)
    folder, aside = tmp_path / "in", tmp_path / "aside"
    drop(folder / "first.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        folder.rename(aside)
        gone = time.monotonic()
        if how == "replaced by a full one":
            folder.mkdir()
            drop(folder / "other.jpg", "another folder")  # only a watch of the new folder tells of it, likewise
            running.wait_for(NOTICED_SECONDS, done=2)
        else:
            if how == "deleted and made anew":
                folder.mkdir()
            wait_until(lambda: "is away" in (running.daemon.snapshot().degraded or ""), NOTICED_SECONDS)
            if how == "renamed":
                aside.rename(folder)
        assert time.monotonic() - gone < NOTICED_SECONDS
        back = time.monotonic()
        late = drop(folder / "late.jpg", "sea")  # only a watch of the new folder tells of it: no rescan comes
        wait_until(lambda: any(path.name.startswith("late") for path in outputs(tmp_path / "out")), NOTICED_SECONDS)
        assert time.monotonic() - back < NOTICED_SECONDS
        assert running.counts()["vanished"] == 0
        assert late.exists()
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_a_disk_that_is_unmounted_is_away_though_something_lies_beneath(tmp_path: Path) -> None:
    with Namespace() as space:
        house = House(tmp_path, daemon="rescan_seconds = 3600")
        (house.input / "README").write_text("The disk goes here.")
        space.run("mount", "-t", "tmpfs", "tmpfs", house.input)
        inside = space.seen(house.input)
        for number in range(4):
            (inside / f"{number}.jpg").write_bytes(b"PICTURE %d" % number)
        with house.running(space.enter):
            house.wait_for(done=4)
            # A disk that somebody uses is unmounted lazily, or pulled out.
            space.run("mount", "--move", house.input, space.place)
            house.wait_until(
                lambda _: bool(house.logged("the input folder is away; it is waited for")), NOTICED_SECONDS
            )
            (space.seen(space.place) / "4.jpg").write_bytes(b"PICTURE 4")
            space.run("mount", "--move", space.place, house.input)
            house.wait_for(NOTICED_SECONDS, done=5)
            counts = house.counts()
        assert (counts["vanished"], counts["failed"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("beneath", ["nothing", "something"])
def test_queued_pictures_wait_for_a_disk_that_is_not_mounted_at_the_start(tmp_path: Path, beneath: str) -> None:
    with Namespace() as space:
        house = House(tmp_path, daemon="shutdown_seconds = 0")
        if beneath == "something":
            (house.input / "0.jpg").write_bytes(b"PICTURE of another")
        space.run("mount", "-t", "tmpfs", "tmpfs", house.input)
        inside = space.seen(house.input)
        for number in range(4):
            (inside / f"{number}.jpg").write_bytes(b"PICTURE %d" % number)
        with house.running(space.enter, **{SECONDS: "3600"}):
            house.wait_until(lambda counts: counts["queued"] + counts["running"] == 4)
            time.sleep(1.0)  # what the folders are is noted beside the work
        space.run("mount", "--move", house.input, space.place)
        with house.running(space.enter):
            house.wait_until_started()
            time.sleep(1.5)
            counts = house.counts()
            assert (counts["queued"], counts["vanished"]) == (4, 0)
            space.run("mount", "--move", space.place, house.input)
            house.wait_for(NOTICED_SECONDS, done=4, vanished=0)


def test_jobs_wait_for_a_disk_that_was_not_mounted_when_the_daemon_started(tmp_path: Path) -> None:
    before = {tmp_path: Root(device=1, inode=2, is_mount=True)}
    assert Roots([tmp_path], before).away() == [tmp_path]
    drop(tmp_path / "photo.jpg", "something lies beneath")
    assert Roots([tmp_path], before).away() == [tmp_path]


def test_a_folder_from_which_a_disk_was_taken_for_good_is_used_when_the_disk_is_forgotten(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.drop("photo.jpg")
    inode = house.input.stat().st_ino
    with house.running():
        house.wait_for(done=1)
        with house.journal() as journal:
            house.wait_until(lambda _: house.input in journal.noted_places())
    opened = Journal.open(house.state)
    opened.note_places({house.input: Root(device=0, inode=inode + 1, is_mount=True)})  # as if a disk had been there
    opened.close()
    with house.running():
        house.wait_until_started()
        told = deepdream("explain", house.input / "photo.jpg", "--config", house.config)
        command = f"deepdream forget -r {house.input}"
        assert "is away; nothing in it counts as deleted" in told.stdout
        assert command in " ".join(told.stdout.split())
        assert "is away" in deepdream("status", "--config", house.config).stdout
        told = deepdream("forget", "-r", house.input, "--config", house.config)
        assert (told.exit_code, told.stdout.splitlines()) == (0, [f"{house.input}: forgotten"])
    house.drop("second.jpg")
    with house.running():
        house.wait_until(lambda counts: counts["done"] > 0 or counts["queued"] > 0)
        assert not (house.logged("the input folder is away; it is waited for"))


def test_what_lies_where_a_folder_was_is_not_taken(tmp_path: Path) -> None:
    folder, aside = tmp_path / "in", tmp_path / "aside"
    settings = make_settings(tmp_path)
    photo = drop(folder / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        roots = running.daemon._generations.in_force.roots  # type: ignore[union-attr]
        known = roots._seen[folder]
        assert known is not None
        roots._seen[folder] = replace(known, is_mount=True)  # as if it were on a disk of its own
        folder.rename(aside)
        folder.mkdir()
        drop(photo, "something that lies beneath")
        wait_until(lambda: "is away" in (running.daemon.snapshot().degraded or ""), NOTICED_SECONDS)
        drop(folder / "other.jpg", "something else")
        time.sleep(1.5)
        assert running.counts()["queued"] == 0
        shutil.rmtree(folder)
        aside.rename(folder)
        roots._seen[folder] = known
        drop(folder / "late.jpg", "sea")
        running.wait_for(NOTICED_SECONDS, done=2, vanished=0)


def test_an_empty_disk_that_is_plugged_in_again_is_there(tmp_path: Path) -> None:
    root = Root.of(tmp_path)
    assert root is not None
    other = Root(device=root.device + 1, inode=root.inode, is_mount=root.is_mount)
    assert Roots([tmp_path], {tmp_path: other}).there() == [tmp_path]

"""R12: a disk for outputs that is unmounted gets nothing beneath it; what is remembered of a folder to tell that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.places import OtherPlace, check_place
from tests.daemon.faults.house import House
from tests.daemon.faults.namespaces import Namespace

NOTICED_SECONDS = 30.0
UNMOUNTED = "the disk that was mounted there is not mounted"


def test_a_disk_that_is_unmounted_gets_nothing_beneath_and_costs_no_source(tmp_path: Path) -> None:
    with Namespace() as space:
        house = House(tmp_path, folder='source = "delete"')
        beneath = house.output
        (beneath / "README").write_text("The disk goes here.")
        space.run("mount", "-t", "tmpfs", "tmpfs", house.output)
        photos = [house.drop(f"{number}.jpg") for number in range(4)]
        with house.running(space.enter):
            house.wait_until(lambda _: not any(photo.exists() for photo in photos))
            space.run("mount", "--move", house.output, space.place)
            gone = time.monotonic()
            late = house.drop("late.jpg")
            house.wait_until(lambda _: bool(house.logged("publishing pauses")), NOTICED_SECONDS)
            assert time.monotonic() - gone < NOTICED_SECONDS
            with house.journal() as journal:
                assert [UNMOUNTED in hold.error for hold in journal.holds()] == [True]
            assert late.exists()
            space.run("mount", "--move", space.place, house.output)
            house.wait_for(NOTICED_SECONDS, done=5)
            house.wait_until(lambda _: not late.exists())
            assert len(list(space.seen(house.output).iterdir())) == 5
        assert [path.name for path in beneath.iterdir()] == ["README"]


@pytest.mark.slow
def test_a_disk_that_is_not_mounted_at_the_start_gets_nothing_beneath(tmp_path: Path) -> None:
    with Namespace() as space:
        house = House(tmp_path)
        space.run("mount", "-t", "tmpfs", "tmpfs", house.output)
        house.drop("first.jpg")
        with house.running(space.enter):
            house.wait_for(done=1)
        space.run("mount", "--move", house.output, space.place)
        house.drop("late.jpg")
        with house.running(space.enter):
            house.wait_until(lambda _: bool(house.logged("publishing pauses")), NOTICED_SECONDS)
            assert list(house.output.iterdir()) == []
            space.run("mount", "--move", space.place, house.output)
            house.wait_for(NOTICED_SECONDS, done=2)
        assert list(house.output.iterdir()) == []


def test_what_counts_is_noted_when_a_folder_is_used_and_when_it_is_a_disk(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    journal = Journal.open(tmp_path / "state")
    try:
        check_place(journal, out)
        assert journal.place(out) is None, "an empty folder may be the place of a disk"
        check_place(journal, out, used=True)
        now = Root.of(out)
        assert now is not None
        assert journal.place(out) == Root(0, now.inode, is_mount=False)
        journal.note_place(out, Root(0, now.inode + 1, is_mount=False))
        check_place(journal, out)  # nothing was put into the former one
        assert journal.place(out) == Root(0, now.inode, is_mount=False)
        journal.note_place(out, Root(0, now.inode, is_mount=True))
        with pytest.raises(OtherPlace, match=UNMOUNTED):
            check_place(journal, out)
        assert journal.forget_place(out)
        check_place(journal, out)
        assert not journal.forget_place(out)
        out.rmdir()
        with pytest.raises(FileNotFoundError):
            check_place(journal, out)
        out.touch()
        with pytest.raises(OtherPlace, match="no folder"):
            check_place(journal, out)
    finally:
        journal.close()


def test_a_link_to_a_disk_is_a_disk(tmp_path: Path) -> None:
    root = next((path for path in (Path("/dev/shm"), Path("/proc")) if path.is_mount()), None)
    if root is None:
        pytest.skip("nothing is mounted in the usual places")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "plain")
    assert Root.look(tmp_path / "link").is_mount
    assert not Root.look(tmp_path / "other").is_mount

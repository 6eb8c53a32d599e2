"""R12: a folder that is not there at all when the daemon starts, or takes up another configuration.

One that it has worked with is away, and is waited for; any other is most likely misspelt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.faults.house import House

OTHER = '[[folders]]\ninput = "in2"\noutput = "out2"\n'


def _two_folders(root: Path) -> House:
    for name in ("in2", "out2"):
        (root / name).mkdir()
    house = House(root)
    house.config.write_text(OTHER + house.config.read_text())
    return house


@pytest.mark.parametrize("which", ["in", "out"])
def test_a_known_folder_that_is_gone_keeps_no_other_from_its_work(tmp_path: Path, which: str) -> None:
    house = _two_folders(tmp_path)
    house.drop("before.jpg")
    with house.running():
        house.wait_for(done=1)
        with house.journal() as journal:
            house.wait_until(lambda _: {house.input, house.output} <= journal.known_places())
    gone, kept = tmp_path / which, tmp_path / "unplugged"
    gone.rename(kept)
    with house.running():
        house.wait_until_started()
        (tmp_path / "in2" / "other.jpg").write_bytes(b"PICTURE other")
        house.wait_for(60, done=2)
        assert not gone.exists()  # nothing is made in its place
        kept.rename(gone)
        house.drop("after.jpg")
        house.wait_for(60, done=3, failed=0, vanished=0)
    assert [path.name for path in house.dreams()] == ["after.classic.jpg", "before.classic.jpg"]


def test_a_folder_that_never_was_there_is_refused_with_its_line(tmp_path: Path) -> None:
    house = _two_folders(tmp_path)
    (tmp_path / "in2").rmdir()
    process = house.start()
    assert process.wait(60) == 2
    assert "config.toml:2: folders[0].input: the folder" in house.last_log()
    assert "does not exist. Create it" in house.last_log()

"""R3: no partial read is accepted; what changes while it is dreamt is discarded and taken again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.daemon.faults.house import House
from tests.daemon.faults.writers import END, write_slowly
from tests.daemon.stub import Running, StubRenderer, drop, is_whole_dream, make_settings, outputs, wait_until

SETTLE_SECONDS = 0.4
MOST_SETTLE_SECONDS = 3.2


def _check_slow_writers(root: Path, writers: int, over_seconds: float, seed: int) -> None:
    """With a settle time that leaves this machine enough to keep the pauses: by some thousandths of a second, or more
    if it has much else to do."""
    settle_seconds = SETTLE_SECONDS
    while True:
        house = House(root / f"{settle_seconds}", daemon=f"settle_seconds = {settle_seconds}")
        late = _check_writing(house, writers, over_seconds, settle_seconds, seed)
        if late <= writers // 50:
            return
        settle_seconds *= 2
        assert settle_seconds <= MOST_SETTLE_SECONDS, f"this machine is too slow to keep the pauses: {late} are late"


def _check_writing(house: House, writers: int, over_seconds: float, settle_seconds: float, seed: int) -> int:
    """Return for how many files it did not keep them."""
    with house.running():
        house.wait_until_started()
        late = write_slowly(house.input, writers, settle_seconds=settle_seconds, over_seconds=over_seconds, seed=seed)
        house.wait_until(lambda counts: counts["done"] >= writers and not counts["running"], 60)
        assert house.counts()["failed"] == 0
    # A file that this machine wrote too slowly was quiet for long enough: its first part is a file like any other.
    stems = {path.stem for path in late}
    dreams = [path for path in house.dreams() if path.name.split(".")[0] not in stems]
    assert len(dreams) == writers - len(stems)
    for dream in dreams:
        assert is_whole_dream(dream)
        assert dream.read_bytes().split(b"\n")[0].endswith(END.encode())
    return len(stems)


@pytest.mark.parametrize("seed", range(2))
def test_no_part_of_a_slowly_written_file_is_dreamt(tmp_path: Path, seed: int) -> None:
    _check_slow_writers(tmp_path, 200, over_seconds=1.0, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_no_part_of_1000_slowly_written_files_is_dreamt(tmp_path: Path, seed: int) -> None:
    _check_slow_writers(tmp_path, 1000, over_seconds=5.0, seed=seed)


@pytest.mark.parametrize("moment", ["before_prepare", "before_dream", "before_finish"])
def test_a_file_that_changes_while_it_is_dreamt_is_taken_again(tmp_path: Path, moment: str) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / "photo.jpg"
    changes = iter([True])

    def change(_: bytes) -> None:
        if next(changes, False):
            drop(photo, "the second half came later")

    setattr(renderer, moment, change)
    settings = make_settings(tmp_path)
    drop(photo, "the first half")
    with Running(settings, renderer) as running:
        running.wait_for(done=1, queued=0, running=0)
    (dream,) = outputs(tmp_path / "out")
    assert dream.read_bytes().startswith(b"DREAM the second half")


def test_a_file_that_is_only_touched_is_not_dreamt_twice(tmp_path: Path) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(done=1)
        os.utime(photo)
        photo.chmod(0o600)
        time.sleep(1.0)  # two rescans
        assert running.counts()["done"] == 1
    assert renderer.prepared == 1
    assert len(outputs(tmp_path / "out")) == 1


def test_a_touch_in_the_middle_does_not_discard_the_dream(tmp_path: Path) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / "photo.jpg"
    renderer.before_finish = lambda _: os.utime(photo, (1, 1))
    settings = make_settings(tmp_path)
    drop(photo, "sky")
    with Running(settings, renderer) as running:
        running.wait_for(done=1)
    assert renderer.prepared == 1


def test_a_side_file_that_comes_later_makes_a_second_dream(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        (tmp_path / "in" / "photo.jpg.toml").write_text("octaves = 2\n")
        running.wait_for(done=2)
    wait_until(lambda: len(outputs(tmp_path / "out")) == 2)

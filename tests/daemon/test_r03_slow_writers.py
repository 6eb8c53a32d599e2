"""R3: no partial read is accepted; what changes while it is dreamt is discarded and taken again."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.daemon.stub import Running, StubRenderer, drop, is_whole_dream, make_settings, outputs, wait_until

SETTLE_SECONDS = 0.3
END = b" whole"


def _write_slowly(path: Path, seed: int) -> None:
    """Write in pieces with pauses below the settle time, sometimes with an old mtime or into preallocated
    space.
    """
    rng = random.Random(seed)
    whole = b"PICTURE %d " % seed + b"x" * rng.randrange(200) + END
    pieces = rng.randrange(2, 5)
    size = -(-len(whole) // pieces)
    with path.open("wb") as file:
        if rng.random() < 0.3:
            os.posix_fallocate(file.fileno(), 0, len(whole))
        for start in range(0, len(whole), size):
            file.write(whole[start : start + size])
            file.flush()
            if rng.random() < 0.3:
                os.utime(path, (1_000_000_000, 1_000_000_000))
            if start + size < len(whole):
                time.sleep(rng.uniform(0.0, 0.9) * SETTLE_SECONDS)


def _check_slow_writers(root: Path, writers: int, at_once: int) -> None:
    settings = make_settings(root, settle_seconds=SETTLE_SECONDS)
    gate = threading.Semaphore(at_once)

    def write(seed: int) -> None:
        with gate:
            _write_slowly(root / "in" / f"{seed}.jpg", seed)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(writers)]
    with Running(settings) as running:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        running.wait_for(60, done=writers)
        assert running.counts()["failed"] == 0
    dreams = outputs(root / "out")
    assert len(dreams) == writers
    for dream in dreams:
        assert is_whole_dream(dream)
        assert dream.read_bytes().split(b"\n")[0].endswith(END)


def test_no_part_of_a_slowly_written_file_is_dreamt(tmp_path: Path) -> None:
    _check_slow_writers(tmp_path, writers=100, at_once=50)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_part_of_1000_slowly_written_files_is_dreamt(tmp_path: Path) -> None:
    _check_slow_writers(tmp_path, writers=1000, at_once=100)


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

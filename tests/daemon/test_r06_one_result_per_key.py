"""R6: a picture may be computed more than once, but each key has one visible result: content, path, recipe, engine
version and seed make the key.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdream_daemon.intake import quiet, selection
from tests.daemon.faults.house import House, digest
from tests.daemon.stub import Running, StubRenderer, drop, key_of, make_settings, outputs, wait_until


def _rewrite(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes())


def _replace(photo: Path) -> None:
    temp = photo.with_name(".temp")
    temp.write_bytes(photo.read_bytes())
    temp.replace(photo)


def _delete_and_drop(photo: Path) -> None:
    data = photo.read_bytes()
    photo.unlink()
    photo.write_bytes(data)


def _move_away_and_back(photo: Path) -> None:
    away = photo.parents[1] / "away.jpg"
    photo.rename(away)
    away.rename(photo)


SAME: tuple[Callable[[Path], None], ...] = (os.utime, _rewrite, _replace, _delete_and_drop, _move_away_and_back)


def test_the_same_picture_at_the_same_place_has_one_result_whatever_is_done_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "PARTS", 1)  # every rescan looks at files that nobody told of
    renderer = StubRenderer()
    settings = make_settings(tmp_path, rescan_seconds=0.1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    for changes in (SAME, SAME[1:2]):  # and a restart changes nothing
        with Running(settings, renderer) as running:
            running.wait_for(done=1)
            for change in changes:
                change(photo)
                stamp = photo.stat().st_ino, photo.stat().st_ctime_ns
                wait_until(lambda stamp=stamp: _is_noted(running, photo, stamp))  # type: ignore[misc]
            assert running.counts()["done"] == 1
            assert sum(running.counts().values()) == 1
    assert len(outputs(tmp_path / "out")) == renderer.prepared == 1


def _is_noted(running: Running, photo: Path, stamp: tuple[int, int]) -> bool:
    """Whether the journal knows the file as it looks now, so that it has been judged again."""
    from deepdream_daemon.intake.sources import fingerprint
    from deepdream_daemon.journal.journal import Journal

    journal = Journal.open(running.settings.state, read_only=True)
    try:
        record = journal.file(photo)
    finally:
        journal.close()
    return record is not None and record.fingerprint == fingerprint(photo)


def test_each_part_of_the_key_makes_another_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    side = tmp_path / "in" / "photo.jpg.toml"
    with Running(settings) as running:
        running.wait_for(done=1)
        drop(photo, "sea")  # content
        running.wait_for(done=2)
        drop(tmp_path / "in" / "other.jpg", "sea")  # path
        running.wait_for(done=3)
        side.write_text("octaves = 2\n")  # recipe
        running.wait_for(done=4)
        side.write_text("octaves = 2\nseed = 7\n")  # seed
        running.wait_for(done=5)
    monkeypatch.setattr(selection, "__version__", "99.0")  # of the engine
    with Running(settings) as running:
        running.wait_for(done=5)
        for name in ("photo.jpg", "other.jpg"):
            _rewrite(tmp_path / "in" / name)
        running.wait_for(done=7)
    dreams = outputs(tmp_path / "out")
    assert len(dreams) == len({key_of(path) for path in dreams}) == 7


FEW, MANY = (12, 2), (40, 4)
"""Pictures, and kills in the middle of them."""


@pytest.mark.parametrize(
    ("seed", "size"), [(0, FEW), *(pytest.param(seed, MANY, marks=pytest.mark.slow) for seed in range(20))]
)
def test_what_is_computed_again_after_a_kill_is_published_once(
    tmp_path: Path, seed: int, size: tuple[int, int]
) -> None:
    count, kills = size
    rng = random.Random(seed)
    house = House(tmp_path)
    sources = {f"{number}.jpg": house.drop(f"{number}.jpg").read_bytes() for number in range(count)}
    seen: dict[Path, str] = {}
    for _ in range(kills):  # killed in the middle of the work, wherever that is
        process = house.start()
        already = len(seen)
        house.wait_until(lambda _: len(house.dreams()) > min(already + rng.randrange(8), count - 5))  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert house.violations() == []
        for path, sha256 in seen.items():
            assert digest(path) == sha256, "a result that was visible has changed"
        seen = {path: digest(path) for path in house.dreams()}
    with house.running():
        house.wait_for(done=count, queued=0, running=0, publishing=0)
        house.wait_until(lambda _: not house.temps(), 10)
    house.check_rest(sources)

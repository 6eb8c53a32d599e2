"""R4: ``kill -9`` at any fail-point, then a restart: nothing lost, nothing twice, nothing torn, nothing
left over.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdream_daemon import failpoints
from tests.daemon.faults.house import House
from tests.tools import lacking

POINTS = (*failpoints.POINTS, *failpoints.DELIVERY_POINTS, *failpoints.DISPOSE_POINTS)
"""Those of copying and of the worker are passed only in other circumstances, and have their own tests."""
GOOD = 6
SEEDS = 20
ONCE = {
    "intake.recorded",
    "dream.begun",
    "quarantine.written",
    "recovery.begun",
    "recovery.requeued",
    "dispose.followed",
}
"""Points that a run may pass only once."""
BETWEEN_DISKS = {"dispose.copy_begun", "dispose.copied"}
SWEPT_SECONDS = 10.0


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        lacking("second-disk", "there is no second disk to write to")
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place)


def _check_kill(root: Path, point: str, seed: int, elsewhere: Path) -> None:
    rng = random.Random(f"{point} {seed}")
    # Sources that are moved can be lost, so half of the houses move them; at some points nothing else would pass.
    moves = point.startswith("dispose.") or seed % 2 == 1
    processed = elsewhere if point in BETWEEN_DISKS else root / "processed"
    disposal = f'source = "move"\nprocessed = "{processed}"\n' if moves else ""
    if point == "dispose.trashed":
        disposal = 'source = "trash"\n'
    sinks = f'sinks = [{{ name = "copy", url = "{root}/copies" }}]\n'
    house = House(root, folder=sinks + disposal, processed=processed)
    (root / "copies").mkdir()
    names = [f"{rng.choice(['', 'deep/'])}{number}.jpg" for number in range(GOOD)] + ["bad.jpg"]
    rng.shuffle(names)
    beside = {}
    if point == "dispose.followed":
        side = house.drop(f"{next(name for name in names if name != 'bad.jpg')}.toml")  # what is bad is not moved
        side.write_text("octaves = 2\n")
        beside[side.relative_to(house.input).as_posix()] = side.read_bytes()
    sources = {name: house.drop(name).read_bytes() for name in names}
    variables = {"XDG_DATA_HOME": str(root / "data")}
    if point.startswith("recovery."):
        before = rng.choice(["publish.linked", "publish.temp_synced", "dream.finished"])
        house.run_until_killed(**variables, **{failpoints.VARIABLE: f"{before}:1"})
    nth = rng.randrange(1, 12) if point.startswith("journal.") else 1 if point in ONCE else rng.randrange(1, 4)
    house.run_until_killed(**variables, **{failpoints.VARIABLE: f"{point}:{nth}"})
    assert house.violations() == []
    with house.running(**variables):
        house.wait_until_started(40)
        begun = time.monotonic()
        house.wait_for(40, done=GOOD, failed=1, queued=0, waiting=0, running=0, publishing=0, vanished=0)
        while house.temps() or not _is_delivered(house):
            assert time.monotonic() < begun + SWEPT_SECONDS, house.temps()
            time.sleep(0.05)
    if point == "dispose.trashed":
        house.processed = root / "data" / "Trash" / "files"
        sources = {Path(name).name if name != "bad.jpg" else name: data for name, data in sources.items()}
    house.check_rest(sources, bad=1, beside=beside)
    copies = {path.relative_to(root / "copies") for path in (root / "copies").rglob("*.jpg")}
    assert copies == {dream.relative_to(house.output) for dream in house.dreams()}


def _is_delivered(house: House) -> bool:
    """Whether the copies have been made, and what was to be moved is where it belongs."""
    with house.journal() as journal:
        pending = journal._rows("SELECT count(*) FROM disposals WHERE state = 'pending'")[0][0]
        return not pending and not journal.undelivered().pending


@pytest.mark.parametrize("point", POINTS)
def test_a_daemon_killed_anywhere_goes_on_after_a_restart(tmp_path: Path, point: str, elsewhere: Path) -> None:
    _check_kill(tmp_path, point, 0, elsewhere)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS))
@pytest.mark.parametrize("point", POINTS)
def test_with_many_seeds(tmp_path: Path, point: str, seed: int, elsewhere: Path) -> None:
    _check_kill(tmp_path, point, seed, elsewhere)


def test_there_are_at_least_25_points() -> None:
    assert len(POINTS) == len(set(POINTS)) >= 25

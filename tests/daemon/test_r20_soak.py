"""R20: a long run under random faults: nothing is lost, doubled or torn; memory and descriptors do not grow.

``pytest -m slow tests/daemon/test_r20_soak.py --soak-minutes 1440`` is the whole day; without the option it takes two
minutes.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from deepdream_daemon import failpoints
from tests.daemon.faults import filesystem
from tests.daemon.faults.house import House, descriptors, digest, picture

READING = ("develop.read", "intake.hashed")
PUBLISHING = ("publish.temp_written", "publish.temp_synced", "publish.linked")
# Trouble with an output holds up its whole folder for a while, longer each time, so there is less of it.
FAULTS = ",".join(
    f"{point}:{error}:{'0.1%' if point in READING else '0.01%'}"
    for point in (*READING, *PUBLISHING)
    for error in ("EIO", "ENOSPC", "MemoryError")
)
FAILING_DISK = {"open": {"EIO": 1e-4, "ESTALE": 1e-4}, "fsync": {"EIO": 1e-4}, "link": {"ENOSPC": 1e-4}}
PER_ROUND = 1000
WARM_ROUNDS = 8
GROWTH = 1.05


def _drop_round(house: House, rng: random.Random, number: int) -> int:
    """Drop a round of small files in several ways; return how many."""
    place = house.input / f"{number % 20}"
    place.mkdir(exist_ok=True)
    for index in range(PER_ROUND):
        path = place / f"{number}-{index}.jpg"
        if rng.random() < 0.5:
            path.write_bytes(picture(f"{number} {index}"))
        else:
            temp = path.with_name(f".{path.name}.part")
            temp.write_bytes(picture(f"{number} {index}"))
            temp.rename(path)
    return PER_ROUND


def _soak(root: Path, minutes: float, seed: int) -> tuple[int, int]:
    """Return how many files were dreamt, and how often the daemon was killed."""
    rng = random.Random(seed)
    house = House(root, daemon="rescan_seconds = 5\nshutdown_seconds = 0")
    flag = root / "failing"
    wanted = {"below": [str(house.input), str(house.output)], "faults": FAILING_DISK, "seed": seed, "while": str(flag)}
    variables = {failpoints.FAULT_VARIABLE: FAULTS, filesystem.VARIABLE: json.dumps(wanted)}
    until = time.monotonic() + minutes * 60
    dropped = kills = rounds = 0
    process = house.start(**variables)
    house.wait_until_started()
    while time.monotonic() < until:
        flag.touch()
        dropped += _drop_round(house, rng, rounds)
        rounds += 1
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            assert house.violations() == []
            process = house.start(**variables)
            house.wait_until_started()
        flag.unlink()
        house.wait_for(300, done=dropped, queued=0, waiting=0, running=0, publishing=0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    with house.running():
        house.wait_until(lambda _: not house.temps(), 60)
    sources = {path.relative_to(house.input).as_posix(): path.read_bytes() for path in house.input.rglob("*.jpg")}
    assert len(sources) == dropped
    house.check_rest(sources)
    return dropped, kills


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_soak_under_random_faults_and_kills_violates_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    dropped, kills = _soak(tmp_path, request.config.getoption("--soak-minutes") / 2, seed=1)
    print(f"{dropped} files, {kills} kills, 0 violations")


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_memory_and_descriptors_do_not_grow(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng = random.Random(2)
    house = House(tmp_path, daemon="rescan_seconds = 5")
    until = time.monotonic() + request.config.getoption("--soak-minutes") * 30
    seen: dict[Path, str] = {}
    dropped = rounds = 0
    with house.running(**{failpoints.FAULT_VARIABLE: FAULTS}) as process:
        house.wait_until_started()
        memory: list[int] = []
        files: list[int] = []
        while time.monotonic() < until or rounds < WARM_ROUNDS + 6:
            dropped += _drop_round(house, rng, rounds)
            house.wait_for(300, done=dropped, queued=0, waiting=0, running=0, publishing=0)
            time.sleep(1.0)
            rounds += 1
            if rounds > WARM_ROUNDS:
                memory.append(psutil.Process(process.pid).memory_info().rss)
                files.append(descriptors(process))
        seen = {path: digest(path) for path in house.dreams()}
    assert len(seen) == dropped
    third = max(1, len(memory) // 3)
    growth = min(memory[-third:]) / min(memory[:third])
    print("MiB after each round:", *(size >> 20 for size in memory))
    print(f"{dropped} files: memory × {growth:.3f}, from {memory[0] >> 20} MiB; descriptors {files[0]} to {files[-1]}")
    assert growth <= GROWTH
    assert min(files[-third:]) <= min(files[:third])

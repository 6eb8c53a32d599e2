"""R10: what passes is tried again after 1 s, growing to 5 min, kept over restarts; a full disk uses up no attempt."""

from __future__ import annotations

import errno
import json
import random
import signal
import time
from pathlib import Path

import pytest

from deepdream_daemon import failpoints
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS, PATIENCE, delay_seconds, judge
from tests.daemon.faults import deepdream, filesystem
from tests.daemon.faults.house import House

TRANSIENT = ("ENOSPC", "EIO", "ESTALE", "EBUSY", "MemoryError")
TOUCHES_FILES = (
    "intake.hashed",
    "develop.read",
    "publish.temp_created",
    "publish.temp_written",
    "publish.temp_synced",
    "publish.announced",
    "publish.linked",
)
"""Points beside which the daemon reads or writes what is not its own."""
PHOTO = Path("/in/photo.jpg")
QUICK = {deepdream.DELAY: "0.02"}
"""Instead of a second, where it is not the delays that matter."""


def _error(name: str) -> Exception:
    return MemoryError() if name == "MemoryError" else OSError(getattr(errno, name), "trouble")


def test_the_delays_double_from_a_second_to_five_minutes_with_jitter() -> None:
    rng = random.Random(1)
    for delays in range(40):
        least = min(2.0**delays, LONGEST_SECONDS)
        drawn = [delay_seconds(delays, rng) for _ in range(50)]
        assert all(least <= delay <= min(least * 1.25, LONGEST_SECONDS) for delay in drawn)
        assert len(set(drawn)) > 1 or least == LONGEST_SECONDS
    assert LONGEST_SECONDS == 300.0


@pytest.mark.parametrize("name", TRANSIENT)
def test_passing_trouble_is_never_final_and_costs_no_attempt(name: str) -> None:
    for delays in range(PATIENCE):
        verdict = judge(_error(name), PHOTO, delays)
        assert (verdict.permanent, verdict.costs_attempt) == (False, False)


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT"])
def test_a_full_disk_costs_no_attempt_however_long_it_is_full(name: str) -> None:
    verdict = judge(_error(name), PHOTO, 10_000)
    assert (verdict.permanent, verdict.costs_attempt) == (False, False)


@pytest.mark.parametrize("point", TOUCHES_FILES)
def test_trouble_at_any_point_passes(tmp_path: Path, point: str) -> None:
    house = House(tmp_path)  # one attempt: whatever used it up would be a failure
    sources = {f"{number}.jpg": house.drop(f"{number}.jpg").read_bytes() for number in range(8)}
    faults = ",".join(f"{point}:{name}:{turn}" for turn, name in enumerate(TRANSIENT, start=1))
    with house.running(**QUICK, **{failpoints.FAULT_VARIABLE: faults}):
        house.wait_for(done=8, queued=0, waiting=0, running=0, publishing=0)
        house.wait_until(lambda _: not house.temps(), 10)
    house.check_rest(sources)
    with house.journal() as journal:
        assert {job.attempts for job in journal.recent("done", 10)} == {0}


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY"])
@pytest.mark.parametrize("first", [1, 9])
def test_a_journal_that_cannot_be_written_for_a_while_loses_nothing(tmp_path: Path, name: str, first: int) -> None:
    house = House(tmp_path)
    sources = {f"{number}.jpg": house.drop(f"{number}.jpg").read_bytes() for number in range(4)}
    fault = f"journal.before_commit:{name}:{first + 12}-{first + 16}"  # not while it starts: that is refused
    with house.running(**QUICK, **{failpoints.FAULT_VARIABLE: fault}):
        house.wait_for(30, done=4, queued=0, waiting=0, running=0, publishing=0)
        house.wait_until(lambda _: not house.temps(), 10)
    house.check_rest(sources)


def test_a_delay_is_kept_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    photo = house.drop("photo.jpg")
    process = house.start(**{failpoints.FAULT_VARIABLE: "develop.read:EIO:1+", deepdream.DELAY: "0.5"})
    house.wait_until(lambda _: len(house.logged("put off")) == 3)  # the next is two seconds and more away
    process.send_signal(signal.SIGKILL)
    process.wait()
    with house.journal() as journal:
        (before,) = journal.of_path(photo)
    assert before.due is not None
    assert before.due > time.time() + 1
    with house.running():
        house.wait_for(done=1)
        assert time.time() >= before.due
    waits = [line["retry_in"] for line in house.logged("put off")]
    assert len(waits) == 3
    assert all(1 <= wait / (0.5 * 2**number) <= 1.25 for number, wait in enumerate(waits)), waits


EVERYWHERE = {
    "open": {"EIO": 0.02, "ESTALE": 0.01, "EBUSY": 0.01},
    "lstat": {"EIO": 0.01, "ESTALE": 0.01},
    "stat": {"ESTALE": 0.02},
    "scandir": {"EIO": 0.1},
    "fsync": {"EIO": 0.02, "ENOSPC": 0.03},
    "link": {"EIO": 0.02, "ENOSPC": 0.02},
    "unlink": {"EBUSY": 0.03, "EIO": 0.02},
    "mkdir": {"EIO": 0.1},
}


@pytest.mark.parametrize("seed", range(2))
def test_a_disk_that_fails_now_and_then_loses_nothing_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    _check_failing_disk(tmp_path, seed, count=20, seconds=100)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_disk_that_fails_now_and_then_with_many_seeds(tmp_path: Path, seed: int) -> None:
    _check_failing_disk(tmp_path, seed, count=200, seconds=500)


def _check_failing_disk(root: Path, seed: int, count: int, seconds: float) -> None:
    house = House(root)
    flag = root / "failing"
    flag.touch()
    wanted = {
        "below": [str(house.input), str(house.output)],
        "faults": EVERYWHERE,
        "seed": seed,
        "while": str(flag),
    }
    sources = {}
    for number in range(count):
        name = f"{number % 3}/{number}.jpg"
        sources[name] = house.drop(name).read_bytes()
    with house.running(**QUICK, **{filesystem.VARIABLE: json.dumps(wanted)}):
        house.wait_until(lambda _: house.violations() == [] and len(house.dreams()) > count * 3 // 4, seconds)
        flag.unlink()
        house.wait_for(seconds, done=count, queued=0, waiting=0, running=0, publishing=0)
    with house.running():  # what could not be swept away is now
        house.wait_until(lambda _: not house.temps(), 10)
    house.check_rest(sources)

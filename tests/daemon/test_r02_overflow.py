"""R2: files that come faster than the kernel can tell of are in the journal all the same, soon after the last one."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.daemon.faults.deepdream import SECONDS
from tests.daemon.faults.house import House, picture
from tests.tools import lacking

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
FOUND_SECONDS = 60.0
LARGEST_FLOOD = 200_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only inotify's queue can be made to run over")


def _drop(house: House, numbers: range, folders: int) -> None:
    for number in numbers:
        (house.input / f"{number % folders}" / f"{number}.jpg").write_bytes(picture(f"{number}"))


def _fill_queue(house: House) -> None:
    """Close two files in turn until the kernel, whose reader stands still, can note no more."""
    limit = int(LIMIT.read_text())
    if limit > LARGEST_FLOOD:
        lacking("inotify", f"fs.inotify.max_queued_events is {limit}")
    for number in range(limit + 100):
        (house.input / f"{number % 2}.part").open("ab").close()


def _check_flood(root: Path, count: int, *, unseen: int, folders: int, rescan_seconds: int) -> float:
    """Drop ``count`` files, ``unseen`` of which the kernel can tell nothing of; return how long after the last one was
    written all were in the journal.
    """
    house = House(root, daemon=f"rescan_seconds = {rescan_seconds}\nshutdown_seconds = 0")
    for number in range(folders):  # watched from the start
        (house.input / f"{number}").mkdir()
    with house.running(**{SECONDS: "3600"}) as process:
        house.wait_until_started()
        house.drop("early.jpg")
        house.wait_for(running=1)
        process.send_signal(signal.SIGSTOP)
        _fill_queue(house)
        _drop(house, range(unseen), folders)
        process.send_signal(signal.SIGCONT)
        _drop(house, range(unseen, count), folders)
        written = time.monotonic()
        house.wait_until(lambda counts: sum(counts.values()) == count + 1, FOUND_SECONDS)
        known = time.monotonic() - written
        assert house.logged("more changes than could be noted: all folders are scanned")
        return known


def test_none_is_missed_when_the_queue_runs_over(tmp_path: Path) -> None:
    _check_flood(tmp_path, 400, unseen=300, folders=10, rescan_seconds=3600)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_none_of_100000_is_missed(tmp_path: Path) -> None:
    seconds = _check_flood(tmp_path, 100_000, unseen=50_000, folders=200, rescan_seconds=30)
    print(f"100,000 files were in the journal {seconds:.1f} s after the last one was written")

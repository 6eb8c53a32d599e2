"""R2: files that come faster than the kernel can tell of are found all the same.

A file is found when it is in the journal or waited for until it is whole, as ``/metrics`` tells.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.daemon.faults.deepdream import SECONDS
from tests.daemon.faults.house import House, picture

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
        pytest.skip(f"fs.inotify.max_queued_events is {limit}")
    for number in range(limit + 100):
        (house.input / f"{number % 2}.part").open("ab").close()


def _settling(port: int) -> int:
    """How many files the daemon has found and waits for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(r"^deepdream_settling_files (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _check_flood(
    root: Path, count: int, *, unseen: int, folders: int, rescan_seconds: int, journal_seconds: float
) -> tuple[float, float]:
    """Drop ``count`` files, ``unseen`` of which the kernel can tell nothing of; return how long after the last one was
    written all were found, and in the journal.
    """
    port = _free_port()
    house = House(root, daemon=f"rescan_seconds = {rescan_seconds}\nshutdown_seconds = 0")
    house.config.write_text(f"{house.config.read_text()}[monitoring]\nport = {port}\n")
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
        house.wait_until(lambda counts: sum(counts.values()) + _settling(port) >= count + 1, FOUND_SECONDS)
        found = time.monotonic() - written
        house.wait_until(lambda counts: sum(counts.values()) == count + 1, journal_seconds)
        assert house.logged("more changes than could be noted: all folders are scanned")
        return found, time.monotonic() - written


def test_none_is_missed_when_the_queue_runs_over(tmp_path: Path) -> None:
    _check_flood(tmp_path, 400, unseen=300, folders=10, rescan_seconds=3600, journal_seconds=FOUND_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_none_of_100000_is_missed(tmp_path: Path) -> None:
    found, known = _check_flood(tmp_path, 100_000, unseen=50_000, folders=200, rescan_seconds=30, journal_seconds=600.0)
    print(f"100,000 files were found {found:.1f} s after the last one was written, in the journal after {known:.1f} s")

"""R1: whatever way thousands of files are dropped in at once, each has exactly one result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.faults.house import House, visible
from tests.daemon.faults.writers import AT_ONCE

Writer = Callable[[Path, Path, int], None]


def _check_dropped(root: Path, write: Writer, count: int, seconds: float) -> None:
    # No rescan comes to the rescue before the end: what is not found by then was missed.
    house = House(root, daemon="rescan_seconds = 3600")
    (root / "elsewhere").mkdir()
    with house.running():
        house.wait_until_started()
        write(house.input, root / "elsewhere", count)
        house.wait_for(seconds, done=count, queued=0, running=0, publishing=0)
    sources = {path.relative_to(house.input).as_posix(): path.read_bytes() for path in visible(house.input)}
    assert len(sources) == count
    house.check_rest(sources)


@pytest.mark.parametrize("write", AT_ONCE)
def test_files_dropped_at_once_have_one_result_each(tmp_path: Path, write: Writer) -> None:
    _check_dropped(tmp_path, write, count=300, seconds=60)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("write", AT_ONCE)
def test_10000_files_dropped_at_once_have_one_result_each(tmp_path: Path, write: Writer) -> None:
    _check_dropped(tmp_path, write, count=10_000, seconds=1000)

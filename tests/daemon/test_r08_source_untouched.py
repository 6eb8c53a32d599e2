"""R8: sources stay where and as they are, whatever happens; the daemon opens them for reading only."""

from __future__ import annotations

import os
from pathlib import Path

from tests.daemon.stub import Running, drop, make_settings


def _look(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    return {
        name: (status.st_ino, status.st_mode, status.st_mtime_ns, Path(folder, name).read_bytes())
        for folder, _, names in os.walk(root)
        for name in names
        if (status := os.lstat(Path(folder, name)))
    }


def test_good_bad_and_failing_sources_are_left_as_they_were(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    folder = tmp_path / "in"
    (folder / "deep").mkdir()
    for number in range(20):
        drop(folder / f"good{number}.jpg", f"sky {number}")
        drop(folder / f"bad{number}.jpg", f"bad {number}")
    drop(folder / "deep" / "fault.jpg", "fault")
    drop(folder / "poison.jpg", "poison")
    (folder / "good1.jpg.toml").write_text("no toml")
    before = _look(folder)
    with Running(settings) as running:
        running.wait_for(done=19, failed=23)
    assert _look(folder) == before

"""R8: no source is moved or deleted before its dream is durable and has been opened again. By default all stay where
and as they are, whatever happens: the daemon opens them for reading only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.failpoints import COPY_POINTS, VARIABLE
from tests.daemon.stub import (
    Running,
    command,
    drop,
    environment,
    is_whole_dream,
    make_settings,
    outputs,
    temps,
    wait_until,
)


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


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that is in memory where possible: nothing here depends on the disk, and each step waits for it."""
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            yield Path(place)
    else:
        yield tmp_path


def _violations(root: Path, first_seed: int, lives: int, seconds: float) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.daemon.faulted_disposals", str(root), str(first_seed), str(lives)],
        env=environment(),
        stdout=subprocess.PIPE,
        timeout=seconds,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_whatever_fails_no_source_goes_before_its_dream_is_safe(memory: Path) -> None:
    assert _violations(memory, 0, 20, 60) == []


@pytest.mark.slow
@pytest.mark.timeout(910)
@pytest.mark.parametrize("chunk", range(40))
def test_in_ten_thousand_faulted_lives(memory: Path, chunk: int) -> None:
    assert _violations(memory, 10_000 * (chunk + 1), 250, 900) == []


POINTS = ("dispose.announced", "dispose.linked", "dispose.placed", "dispose.aside_taken", "dispose.removed")


@pytest.mark.parametrize("point", POINTS)
def test_a_daemon_killed_while_it_moves_sources_goes_on_after_a_restart(tmp_path: Path, point: str) -> None:
    names = [f"{number}.jpg" for number in range(3)]
    settings = make_settings(tmp_path)
    (tmp_path / "processed").mkdir()
    for name in names:
        drop(tmp_path / "in" / name, name)
    died = subprocess.run(
        command(tmp_path, folder={"source": "move", "processed": str(tmp_path / "processed")}),
        env=environment(**{VARIABLE: f"{point}:2"}),
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert died.returncode < 0
    folder = FolderSettings(
        input=tmp_path / "in", output=tmp_path / "out", source="move", processed=tmp_path / "processed"
    )
    with Running(replace(settings, folders=(folder,))) as running:
        running.wait_for(done=3, queued=0)
        wait_until(lambda: outputs(tmp_path / "in") == [])
    assert [path.name for path in outputs(tmp_path / "processed")] == names
    assert len(outputs(tmp_path / "out")) == 3
    assert all(is_whole_dream(path) for path in outputs(tmp_path / "out"))
    assert temps(tmp_path) == []
    assert not list(tmp_path.rglob(".deepdream-away-*"))


@pytest.mark.parametrize("point", COPY_POINTS)
def test_a_daemon_killed_while_it_copies_files_goes_on_after_a_restart(tmp_path: Path, point: str) -> None:
    settings = make_settings(tmp_path)
    contents = {f"{number}.txt": f"text {number}" for number in range(3)}
    for name, text in contents.items():
        (tmp_path / "in" / name).write_text(text)
    died = subprocess.run(
        command(tmp_path, folder={"copy_through": True}),
        env=environment(**{VARIABLE: f"{point}:2"}),
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert died.returncode < 0
    with Running(replace(settings, folders=(replace(settings.folders[0], copy_through=True),))) as running:
        running.wait_for(done=3, queued=0, running=0, publishing=0)
        wait_until(lambda: temps(tmp_path) == [])
    assert {path.name: path.read_text() for path in outputs(tmp_path / "out")} == contents
    assert {path.name: path.read_text() for path in outputs(tmp_path / "in")} == contents

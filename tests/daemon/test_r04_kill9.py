"""R4: ``kill -9`` at any fail-point, then a restart: nothing lost, nothing twice, nothing torn, nothing
left over.
"""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest

from deepdream_daemon.failpoints import POINTS, VARIABLE
from tests.daemon.stub import (
    Running,
    command,
    drop,
    environment,
    is_whole_dream,
    key_of,
    make_settings,
    outputs,
    temps,
    wait_until,
)

GOOD = 6
ONCE = {"intake.recorded", "dream.begun", "quarantine.written", "recovery.begun", "recovery.requeued"}
"""Points that a run may pass only once."""


def _kill_at(root: Path, point: str, nth: int) -> None:
    """Run a daemon in a process of its own until it dies at the point."""
    process = subprocess.run(
        command(root, max_attempts=1),
        env=environment(**{VARIABLE: f"{point}:{nth}"}),
        stdout=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


def _check_kill(root: Path, point: str, seed: int) -> None:
    rng = random.Random(f"{point} {seed}")
    settings = make_settings(root, max_attempts=1)
    (root / "in" / "deep").mkdir()
    names = [f"{rng.choice(['', 'deep/'])}{number}.jpg" for number in range(GOOD)] + ["bad.jpg"]
    rng.shuffle(names)
    for name in names:
        drop(root / "in" / name, name)
    sources = {path: path.read_bytes() for path in outputs(root / "in")}
    if point.startswith("recovery."):
        _kill_at(root, rng.choice(["publish.linked", "publish.temp_synced", "dream.finished"]), 1)
    _kill_at(root, point, 1 if point in ONCE else rng.randrange(1, 4))
    assert all(is_whole_dream(path) for path in outputs(root / "out"))
    with Running(settings) as running:
        running.wait_for(done=GOOD, failed=1, queued=0, waiting=0, running=0, publishing=0, vanished=0)
        wait_until(lambda: temps(root / "out") == [], 10, lambda: temps(root / "out"))
    dreams = outputs(root / "out")
    assert len(dreams) == len({key_of(dream) for dream in dreams}) == GOOD
    assert all(is_whole_dream(dream) for dream in dreams)
    assert {path: path.read_bytes() for path in outputs(root / "in")} == sources
    assert len(outputs(root / "state" / "quarantine")) == 1


@pytest.mark.parametrize("point", POINTS)
def test_a_daemon_killed_anywhere_goes_on_after_a_restart(tmp_path: Path, point: str) -> None:
    _check_kill(tmp_path, point, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("point", POINTS)
def test_with_many_seeds(tmp_path: Path, point: str, seed: int) -> None:
    _check_kill(tmp_path, point, seed)

"""SIGTERM in the middle of a long chunk: the daemon is out in time, and the next one makes the film to its end."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from deepdream_daemon.films.reading import open_clip
from tests.daemon.film_daemon import command, journey, photo, take
from tests.daemon.stub import environment, jobs_of, outputs, wait_until

pytest.importorskip("av")

SLOW = journey(9).replace("steps = 1", "steps = 120")
"""Frames that take a while: a chunk takes four of them."""


@pytest.mark.slow
def test_a_daemon_that_is_told_to_stop_within_a_long_chunk_is_out_in_time_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = take(photo(tmp_path), tmp_path / "in", SLOW)
    with subprocess.Popen(command(tmp_path), env=environment(OMP_NUM_THREADS="1")) as process:
        wait_until(lambda: any((tmp_path / "state" / "films").glob("*/film.json")), 60)
        time.sleep(1)  # by now it is within the next chunk
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        process.wait(60)
        assert time.monotonic() - begun < 15
    assert outputs(tmp_path / "out") == []
    (job,) = jobs_of(tmp_path, source)
    assert (job.state, job.attempts) == ("queued", 0)

    with subprocess.Popen(command(tmp_path), env=environment(OMP_NUM_THREADS="1")) as process:
        wait_until(lambda: bool(outputs(tmp_path / "out")), 60)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    (film,) = outputs(tmp_path / "out")
    with open_clip(film) as clip:
        assert clip.facts.frames == 9

"""The clock may be set back or far forwards at any time: nobody waits for years, nothing is taken too early, nothing is
forgotten that is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdream_daemon.intake.settle import Settler
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS
from deepdream_daemon.running.tidying import Tidying
from tests.daemon.stub import Running, drop, make_settings, outputs, wait_until

YEAR_SECONDS = 365 * 86_400.0
Step = Callable[[float], None]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    """Return what sets the clock on the wall; the clock that only counts goes on."""
    real, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])

    def by(seconds: float) -> None:
        offset[0] += seconds

    return by


@pytest.mark.parametrize("seconds", [-YEAR_SECONDS, -3600.0, 3600.0, 10 * YEAR_SECONDS])
def test_what_was_put_off_is_tried_again_soon_whatever_the_clock_says(
    tmp_path: Path, step: Step, seconds: float
) -> None:
    journal = Journal.open(tmp_path)
    job = NewJob(key="a", folder=tmp_path, sha256="", recipe="classic", seed=1)
    journal.record([Taken(path=tmp_path / "a.jpg", fingerprint="1", job=job)])
    (claim,) = journal.claim(1, [tmp_path])
    journal.put_off(claim.id, due=time.time() + 200, attempts=0, delays=8, error="offline", advice="")
    step(seconds)
    journal.mend_clock()
    left = [job.due - time.time() for job in journal.recent("waiting") if job.due is not None]
    assert all(wait <= 2 * LONGEST_SECONDS for wait in left)
    step(2 * LONGEST_SECONDS + 1)
    assert [again.id for again in journal.claim(1, [tmp_path])] == [claim.id]
    journal.close()


@pytest.mark.parametrize("seconds", [-YEAR_SECONDS, YEAR_SECONDS])
def test_settling_goes_by_a_clock_that_nobody_sets(step: Step, seconds: float) -> None:
    settler = Settler(1.0)
    settler.see(Path("/in/a.jpg"), "1")
    step(seconds)
    assert settler.due(1) == []
    time.sleep(1.05)
    assert settler.due(1) == [Path("/in/a.jpg")]


@pytest.mark.parametrize("seconds", [-YEAR_SECONDS, 10 * YEAR_SECONDS])
def test_a_daemon_goes_on_when_the_clock_is_set(tmp_path: Path, step: Step, seconds: float) -> None:
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        drop(tmp_path / "in" / "before.jpg", "sky")
        running.wait_for(done=1)
        step(seconds)
        drop(tmp_path / "in" / "after.jpg", "sea")
        running.wait_for(done=2)
        step(-seconds)
        drop(tmp_path / "in" / "again.jpg", "land")
        running.wait_for(done=3)
    assert len(outputs(tmp_path / "out")) == 3


def test_a_picture_that_failed_for_now_is_tried_again_after_the_clock_was_set_back(tmp_path: Path, step: Step) -> None:
    settings = make_settings(tmp_path, rescan_seconds=0.2)
    (tmp_path / "out").rmdir()
    with Running(settings) as running:
        drop(tmp_path / "in" / "a.jpg", "sky")
        wait_until(lambda: running.daemon.snapshot().degraded is not None)
        step(-YEAR_SECONDS)
        (tmp_path / "out").mkdir()
        running.wait_for(done=1)


def test_a_clock_far_ahead_forgets_nothing_that_is_there(tmp_path: Path, step: Step) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    step(100 * YEAR_SECONDS)
    journal = Journal.open(settings.state)
    tidying = Tidying(journal, 90, [tmp_path / "in", tmp_path / "out"])
    tidying.look_at_places()
    assert sum(tidying.sweep()) == 0
    journal.close()
    with Running(settings) as running:
        time.sleep(1.0)
        assert running.counts()["done"] == 1
    assert len(outputs(tmp_path / "out")) == 1

"""R9: one bad file among 32 costs the others a few passes and nothing else, also if it ends the worker process."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import EngineSettings, PictureSettings
from deepdream_daemon.pipeline import pipeline, stations
from deepdream_daemon.worker import keeper
from deepdream_daemon.worker.workshop import Workshop
from tests.daemon.stub import Running, drop, jobs_of, make_settings, outputs, temps, wait_until
from tests.daemon.worker_stub import DIARY, workshop


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the workers note their runs."""
    path = tmp_path / "diary"
    monkeypatch.setenv(DIARY, str(path))
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no group wait for long for a picture that never comes."""
    monkeypatch.setattr(stations, "TRIAL_LINGER_SECONDS", 2.0)


def runs(diary: Path) -> int:
    """Return how many runs there were."""
    return diary.read_text().count(" run\n")


def quarantined(root: Path) -> dict[str, dict[str, object]]:
    """Return the records of the quarantine by the name of the picture."""
    records = [json.loads(path.read_text()) for path in outputs(root / "state" / "quarantine")]
    return {Path(record["path"]).name: record for record in records}


def test_r09_one_in_32_that_crashes_the_worker_is_found_with_at_most_ten_more_passes(
    tmp_path: Path, diary: Path
) -> None:
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=32))
    renderer = workshop(settings)
    assert renderer.check()
    for number in range(32):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}" + (" crash" if number == 19 else ""))
    with Running(settings, renderer) as running:
        running.wait_for(done=31, failed=1)
    renderer.close()
    assert runs(diary) <= 1 + 10
    assert renderer.last_death == "was killed by SIGSEGV"
    record = quarantined(tmp_path)["19.jpg"]
    assert "ended the worker process 2 times" in str(record["reason"])
    assert "SIGSEGV" in str(record["reason"])
    assert record["attempts"] == 2
    assert "deepdream retry" in str(record["advice"])
    assert len(outputs(tmp_path / "out")) == 31
    assert temps(tmp_path / "out") == []
    for number in range(32):
        (job,) = jobs_of(tmp_path, tmp_path / "in" / f"{number}.jpg")
        assert job.attempts == (2 if number == 19 else 0)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("abort", "was killed by SIGABRT"),
        ("hang", "made no progress for 0.6 s"),
        ("prepare-crash", "was killed by SIGSEGV"),
        ("finish-crash", "was killed by SIGSEGV"),
        pytest.param("sigkill", "was killed by SIGKILL", marks=pytest.mark.slow),
        pytest.param("exit", "ended by itself with exit code 7", marks=pytest.mark.slow),
        pytest.param("prepare-hang", "took longer than 0.6 s for one picture", marks=pytest.mark.slow),
        pytest.param("finish-hang", "took longer than 0.6 s for one picture", marks=pytest.mark.slow),
    ],
)
def test_r09_whatever_ends_the_worker_at_any_stage_the_others_are_dreamt(tmp_path: Path, word: str, told: str) -> None:
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=4, stall_seconds=0.6 if "hang" in word else 60))
    renderer = workshop(settings)
    for number in range(4):
        drop(tmp_path / "in" / f"{number}.jpg", word if number == 2 else f"sky {number}")
    with Running(settings, renderer) as running:
        running.wait_for(done=3, failed=1)
    renderer.close()
    record = quarantined(tmp_path)["2.jpg"]
    assert told in str(record["reason"])
    assert record["attempts"] == 2
    assert sorted(path.name for path in outputs(tmp_path / "out")) == [f"{n}.classic.jpg" for n in (0, 1, 3)]


@pytest.mark.slow
def test_r09_two_bad_files_are_both_found(tmp_path: Path, diary: Path) -> None:
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=16))
    renderer = workshop(settings)
    assert renderer.check()
    for number in range(8):
        drop(tmp_path / "in" / f"{number}.jpg", "crash" if number in (2, 5) else f"sky {number}")
    with Running(settings, renderer) as running:
        running.wait_for(done=6, failed=2)
    renderer.close()
    assert set(quarantined(tmp_path)) == {"2.jpg", "5.jpg"}
    assert runs(diary) <= 1 + 2 * 10


def test_r09_memory_that_runs_out_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    renderer = workshop(settings)
    photo = drop(tmp_path / "in" / "photo.jpg", "prepare-eat")
    with Running(settings, renderer) as running:
        running.wait_for(waiting=1)
        (job,) = jobs_of(tmp_path, photo)
    renderer.close()
    assert job.attempts == 0
    assert "memory" in (job.error or "").lower()
    assert renderer.restarts == 0


def test_r09_a_worker_that_is_killed_from_outside_costs_its_pictures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPDREAM_WORKER_SECONDS", "0.2")
    settings = make_settings(tmp_path)
    renderer = workshop(settings)
    for number in range(6):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: running.counts()["done"] >= 1)
        assert renderer.pid is not None
        os.kill(renderer.pid, 9)
        running.wait_for(done=6)
    renderer.close()
    assert renderer.restarts == 1
    assert renderer.last_death == "was killed by SIGKILL"
    for number in range(6):
        (job,) = jobs_of(tmp_path, tmp_path / "in" / f"{number}.jpg")
        assert job.attempts == 0
    assert len(outputs(tmp_path / "out")) == 6


def test_a_picture_that_takes_longer_than_it_may_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, pictures=PictureSettings(job_seconds=1.5))
    renderer = workshop(settings)
    assert renderer.check()
    drop(tmp_path / "in" / "photo.jpg", "slow")
    with Running(settings, renderer) as running:
        running.wait_for(running=1)
        drop(tmp_path / "in" / "other.jpg", "sky")
        running.wait_for(failed=1, done=1)
        assert renderer.restarts == 0, "the run was asked to stop"
    renderer.close()
    record = quarantined(tmp_path)["photo.jpg"]
    assert "the limit is 1.5 s ([pictures] job_seconds)" in str(record["reason"])
    assert "job_seconds" in str(record["advice"])


def test_a_worker_that_cannot_start_uses_up_no_attempt_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    monkeypatch.setenv("DEEPDREAM_WORKER_BROKEN", str(broken))
    monkeypatch.setattr(keeper, "delay_seconds", lambda _: 0.3)
    monkeypatch.setattr(pipeline, "MEND_SECONDS", 0.05)
    settings = make_settings(tmp_path, max_attempts=1, pictures=PictureSettings(job_seconds=1.5))
    renderer = workshop(settings, "tests.daemon.worker_stub:make_and_die")
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(running=1)
        wait_until(lambda: "does not start" in (running.daemon.snapshot().degraded or ""))
        assert "the driver is not there" in (running.daemon.snapshot().degraded or "")
        assert not renderer.check(0.1)
        wait_until(lambda: running.daemon.snapshot().active[0].seconds > settings.pictures.job_seconds)
        [active] = running.daemon.snapshot().active
        assert active.stage == "waiting for the engine to start", "that is no work"
        broken.unlink()
        running.wait_for(done=1)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    renderer.close()
    (job,) = jobs_of(tmp_path, photo)
    assert job.attempts == 0
    assert not any("failed" in what for _, what in job.history)


def test_the_daemon_ends_in_time_though_the_worker_hangs(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, shutdown_seconds=0.3)
    renderer: Workshop = workshop(replace(settings, engine=EngineSettings(stall_seconds=600)))
    drop(tmp_path / "in" / "photo.jpg", "hang")
    drop(tmp_path / "in" / "other.jpg", "prepare-hang")
    with Running(settings, renderer) as running:
        running.wait_for(running=2)
        time.sleep(0.5)
        begun = time.monotonic()
        running.stop.set()
        running.thread.join(10)
        renderer.close()
        assert time.monotonic() - begun < 6
    for name in ("photo", "other"):
        (job,) = jobs_of(tmp_path, tmp_path / "in" / f"{name}.jpg")
        assert (job.state, job.attempts) == ("queued", 0)


@pytest.mark.slow
def test_a_worker_that_ends_with_every_picture_is_not_taken_for_the_pictures_fault(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    renderer = workshop(settings)
    for number in range(5):
        drop(tmp_path / "in" / f"{number}.jpg", "crash")
    with Running(settings, renderer) as running:
        wait_until(lambda: "the last 4 pictures" in (running.daemon.snapshot().degraded or ""), 60)
        running.wait_for(failed=3, waiting=2)
        drop(tmp_path / "in" / "good.jpg", "sky")
        running.wait_for(done=1)
        wait_until(lambda: "pictures" not in (running.daemon.snapshot().degraded or ""))
    renderer.close()


def test_a_worker_that_dies_while_the_daemon_ends_leaves_its_pictures_queued(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, shutdown_seconds=8.0)
    renderer = workshop(settings)
    assert renderer.check()
    photo = drop(tmp_path / "in" / "photo.jpg", "slow")
    with Running(settings, renderer) as running:
        wait_until(lambda: any(each.stage == "dreaming" for each in running.daemon.snapshot().active))
        running.stop.set()
        time.sleep(0.3)
        begun = time.monotonic()
        os.kill(renderer.pid or 0, 9)
        running.thread.join(10)
        assert time.monotonic() - begun < 5
    renderer.close()
    (job,) = jobs_of(tmp_path, photo)
    assert (job.state, job.attempts) == ("queued", 0)

"""R9, R10, R11 in part: a bad file spoils nothing but itself, passing trouble passes, and the loop goes
on.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest
import structlog

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import backoff, undecided
from deepdream_daemon.pipeline.rendering import Progress
from deepdream_daemon.publishing import publish, quarantine
from deepdream_engine.errors import DeepDreamError, ModelUnavailable, OutOfMemory
from tests.daemon.stub import (
    Running,
    StubPrepared,
    StubRenderer,
    drop,
    jobs_of,
    make_settings,
    outputs,
    wait_until,
)


class TogetherRenderer(StubRenderer):
    """The first run begins when so many pictures are there, however long it takes to prepare them."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def dream(
        self, feed: Iterator[StubPrepared | None], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, bytes | DeepDreamError]]:
        there: list[StubPrepared] = []
        for each in () if self.batches else feed:
            there += [] if each is None else [each]
            if len(there) == self._first:
                break
        yield from super().dream(chain(there, feed), on_progress=on_progress, should_stop=should_stop)


def test_one_poisoned_picture_among_32_costs_its_neighbours_nothing_but_ten_passes(tmp_path: Path) -> None:
    renderer = TogetherRenderer(32)
    settings = make_settings(tmp_path, max_attempts=1, engine=EngineSettings(max_batch=32))
    for number in range(31):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    drop(tmp_path / "in" / "poison.jpg", "poison")
    with Running(settings, renderer) as running:
        running.wait_for(done=31, failed=1)
    assert renderer.batches[0] == 32
    assert len(renderer.batches) <= 1 + 10
    (record,) = outputs(tmp_path / "state" / "quarantine")
    facts = json.loads(record.read_text())
    assert facts["path"].endswith("poison.jpg")
    assert "poisoned" in facts["reason"]
    assert facts["advice"]


def test_an_engine_fault_is_tried_three_times_with_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.4)
    renderer = StubRenderer()
    times: list[float] = []
    renderer.before_dream = lambda _: times.append(time.monotonic())
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "fault")
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
    assert len(renderer.batches) == 3
    (job,) = jobs_of(tmp_path, photo)
    assert times[1] - times[0] >= 0.4
    assert times[2] - times[1] >= 0.8
    assert job.attempts == 3
    assert [what for _, what in job.history][1:] == [
        "put off: the stub has a fault (the same again, 2 times)",
        "failed: the stub has a fault",
    ]
    assert [trouble.final for trouble in running.daemon.snapshot().errors] == [True]  # one of each job


def test_retry_dreams_a_failed_picture_after_all(tmp_path: Path) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    trouble = [True]

    def fail(_: bytes) -> None:
        if trouble[0]:
            raise ValueError("a plugin raised")

    renderer.before_finish = fail
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
        trouble[0] = False
        journal = Journal.open(settings.state)
        assert journal.retry(photo) == 1
        journal.close()
        running.wait_for(failed=0, done=1)
    assert outputs(tmp_path / "state" / "quarantine") == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "I/O error"),
        MemoryError(),
        ModelUnavailable("no weights"),
        OSError(errno.EMFILE, ""),
    ],
)
def test_passing_trouble_is_waited_out_without_using_up_attempts(tmp_path: Path, error: Exception) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    trouble = iter([error])

    def fail(_: bytes) -> None:
        for raised in trouble:
            raise raised

    renderer.before_prepare = fail
    with Running(settings, renderer) as running:
        running.wait_for(waiting=1)
        running.wait_for(done=1)
    (job,) = jobs_of(tmp_path, photo)
    assert job.attempts == 0
    assert any(what.startswith("put off") for _, what in job.history)


def test_an_engine_out_of_memory_is_waited_out_like_any(tmp_path: Path) -> None:
    renderer = StubRenderer()
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    trouble = iter([OutOfMemory("out of memory on cuda:0")])

    def fail(_: bytes) -> None:
        for raised in trouble:
            raise raised

    renderer.before_dream = fail
    with Running(settings, renderer) as running:
        running.wait_for(waiting=1)
        assert "tile_px" in (jobs_of(tmp_path, photo)[0].advice or "")
        running.wait_for(done=1)
    assert jobs_of(tmp_path, photo)[0].attempts == 0


def test_what_was_last_known_is_still_told_when_the_daemon_has_ended(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for name in ("good", "bad"):
        drop(tmp_path / "in" / f"{name}.jpg", name)
    with Running(settings) as running:
        running.wait_for(done=1, failed=1)
    last = running.daemon.snapshot()
    assert (last.counts["done"], last.counts["failed"]) == (1, 1)
    assert [done.path.name for done in last.finished] == ["good.jpg"]
    assert [trouble.path.name for trouble in last.errors] == ["bad.jpg"]
    assert last.active == ()


def test_a_failure_is_logged_and_recorded_with_a_command_for_its_file(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    photo = drop(tmp_path / "in" / "it's poison.jpg", "poison")
    with structlog.testing.capture_logs() as logs, Running(settings) as running:
        running.wait_for(failed=1)
    (line,) = [entry for entry in logs if entry["event"] == "failed"]
    (record,) = outputs(tmp_path / "state" / "quarantine")
    wanted = f"deepdream retry {shlex.quote(str(photo))}"
    assert wanted in line["advice"]
    assert wanted in json.loads(record.read_text())["advice"]
    assert wanted in running.daemon.snapshot().errors[0].advice


class _Links:
    """Links fail as on a disk with errors until told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = True
        real = publish.link_new

        def link_new(temp: Path, target: Path, at: int | None = None) -> None:
            if self.fail:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
            real(temp, target, at)

        monkeypatch.setattr(publish, "link_new", link_new)


def test_a_dream_whose_publishing_fails_after_its_announcement_is_seen_and_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = _Links(monkeypatch)
    monkeypatch.setattr(undecided, "FIRST_SECONDS", 0.1)
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with structlog.testing.capture_logs() as logs, Running(settings) as running:
        wait_until(lambda: "photo.classic.jpg" in (running.daemon.snapshot().degraded or ""))
        (job,) = jobs_of(tmp_path, photo)
        quarantine.write(settings.state, job.id, photo, {"reason": "an older failure"})
        time.sleep(0.8)
        assert "Input/output error" in (running.daemon.snapshot().degraded or "")
        links.fail = False
        running.wait_for(done=1)
        wait_until(lambda: bool(running.daemon.snapshot().finished))
        (finished,) = running.daemon.snapshot().finished
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    (output,) = outputs(tmp_path / "out")
    assert (finished.path, finished.output) == (photo, output)
    told = [entry["log_level"] for entry in logs if entry["event"] == "cannot find out whether it was published"]
    assert told.count("warning") == 1
    assert len(told) <= 5  # with growing pauses: the sixth would be after 3.1 s
    (dreamt,) = [entry for entry in logs if entry["event"] == "dreamt"]
    assert (dreamt["path"], dreamt["output"]) == (str(photo), str(output))
    assert outputs(tmp_path / "state" / "quarantine") == []


def test_a_dream_that_the_next_start_publishes_leaves_its_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = _Links(monkeypatch)
    settings = make_settings(tmp_path, shutdown_seconds=0.0)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(publishing=1)
        wait_until(lambda: "photo.classic.jpg" in (running.daemon.snapshot().degraded or ""))
    (job,) = jobs_of(tmp_path, photo)
    quarantine.write(settings.state, job.id, photo, {"reason": "an older failure"})
    links.fail = False
    with structlog.testing.capture_logs() as logs, Running(settings) as running:
        running.wait_for(done=1)
    (dreamt,) = [entry for entry in logs if entry["event"] == "dreamt"]
    assert (dreamt["job"], dreamt["path"]) == (job.id, str(photo))
    assert outputs(tmp_path / "state" / "quarantine") == []

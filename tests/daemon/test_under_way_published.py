"""What is published is published, and told as such, whatever goes wrong when the rest is cleared away."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from deepdream_daemon.pipeline import stages
from deepdream_daemon.publishing import quarantine
from tests.daemon.stub import Running, drop, jobs_of, make_settings, outputs, temps, wait_until


def _fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _fail_when_done(name: str) -> None:
    if name == "publish.done":
        _fail()


@pytest.mark.parametrize(("place", "name", "harm"), [(quarantine, "remove", _fail), (stages, "hit", _fail_when_done)])
def test_trouble_after_a_dream_is_in_the_journal_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, harm: object
) -> None:
    monkeypatch.setattr(place, name, harm)
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        wait_until(lambda: not running.daemon.snapshot().active)
        snapshot = running.daemon.snapshot()
    assert (snapshot.errors, snapshot.degraded) == ((), None)
    (dream,) = outputs(tmp_path / "out")
    assert [done.output for done in snapshot.finished] == [dream]
    (job,) = jobs_of(tmp_path, photo)
    assert not any("put off" in what or "failed" in what for _, what in job.history)


def test_a_dream_that_could_not_be_announced_leaves_no_temp_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    monkeypatch.setattr(stages, "announcement", _fail)
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().degraded is not None)
        wait_until(lambda: temps(tmp_path / "out") == [])
        assert outputs(tmp_path / "out") == []
        monkeypatch.undo()
        running.wait_for(done=1)

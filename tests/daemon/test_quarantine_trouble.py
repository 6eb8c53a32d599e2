"""A quarantine that cannot be written to holds up no picture, and has its records once it can."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepdream_daemon.failpoints import VARIABLE
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.notes import Unrecorded
from deepdream_daemon.pipeline import tending
from deepdream_daemon.publishing import records as records_of_quarantine
from tests.daemon.faults.house import House
from tests.daemon.stub import Running, drop, jobs_of, make_settings, outputs, wait_until


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """What is where the quarantine should be, so that it cannot be made."""
    (tmp_path / "state").mkdir(mode=0o700)
    place = tmp_path / "state" / "quarantine"
    place.write_text("no folder")
    return place


def records(place: Path) -> dict[str, str]:
    return {json.loads(path.read_text())["path"]: json.loads(path.read_text())["reason"] for path in outputs(place)}


def noted(root: Path) -> dict[str, str]:
    journal = Journal.open(root / "state", read_only=True)
    try:
        return journal.noted_troubles()
    finally:
        journal.close()


def test_the_others_are_dreamt_and_the_trouble_is_told_until_it_is_over(
    tmp_path: Path, blocked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "MOST_RECORD_SECONDS", 0.2)
    settings = make_settings(tmp_path)
    bad = drop(tmp_path / "in" / "bad.jpg", "bad")
    refused = drop(tmp_path / "in" / "refused.jpg", "sky")
    refused.with_name("refused.jpg.toml").write_text("steps = 'many'\n")
    with Running(settings) as running:
        running.wait_for(failed=2)
        drop(tmp_path / "in" / "good.jpg", "sky")
        running.wait_for(done=1)
        wait_until(lambda: str(blocked) in (running.daemon.snapshot().degraded or ""), what=running.daemon.snapshot)
        wait_until(lambda: any(str(blocked) in trouble for trouble in noted(tmp_path)))
        assert "by themselves" in next(advice for trouble, advice in noted(tmp_path).items() if str(blocked) in trouble)
        blocked.unlink()
        wait_until(lambda: len(outputs(blocked)) == 2)
        wait_until(lambda: running.daemon.snapshot().degraded is None, what=running.daemon.snapshot)
        wait_until(lambda: noted(tmp_path) == {})
    told = records(blocked)
    assert "not a picture" in told[str(bad)]
    assert "many" in told[str(refused)]


def test_what_failed_meanwhile_has_its_record_at_the_next_start_and_no_other_is_made_again(
    tmp_path: Path, blocked: Path
) -> None:
    settings = make_settings(tmp_path)
    bad = drop(tmp_path / "in" / "bad.jpg", "bad")
    with Running(settings) as running:
        running.wait_for(failed=1)
    blocked.unlink()
    with Running(settings) as running:
        wait_until(lambda: len(outputs(blocked)) == 1)
        assert list(records(blocked)) == [str(bad)]
        for path in outputs(blocked):  # as somebody does who has read it
            path.unlink()
    with Running(settings) as running:
        drop(tmp_path / "in" / "good.jpg", "sky")
        running.wait_for(done=1)
    assert outputs(blocked) == []


def test_a_file_that_was_refused_right_before_a_kill_has_its_record_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path)
    bad = tmp_path / "earlier" / "bad.jpg"
    journal = Journal.open(tmp_path / "state")
    job = NewJob(key="key", folder=bad.parent, sha256="0", recipe="", seed=0, error="steps is 'many'")
    journal.record([Taken(path=bad, fingerprint="1", job=job)])
    assert records_of_quarantine.troubles(journal) == {}, "nothing is known to be wrong"
    journal.close()
    monkeypatch.setattr(records_of_quarantine, "EARLIER_SECONDS", 0.1)
    with Running(settings) as running:
        wait_until(lambda: records(tmp_path / "state" / "quarantine") == {str(bad): "steps is 'many'"})
        wait_until(lambda: _missing(running) is None)


@pytest.mark.slow
def test_who_is_killed_before_a_record_is_written_makes_up_for_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    side = house.drop("photo.jpg").with_name("photo.jpg.toml")
    side.write_text("steps = 'many'\n")
    assert house.run_until_killed(**{VARIABLE: "intake.recorded:1"})
    with house.running():
        house.wait_for(failed=1)
        wait_until(lambda: len(outputs(house.state / "quarantine")) == 1, 180)


def refused(root: Path, name: str) -> Taken:
    error = "steps is 'many'"
    job = NewJob(key=name, folder=root / "in", sha256="0", recipe="", seed=0, error=error)
    return Taken(path=root / "in" / name, fingerprint="1", job=job)


def test_many_records_are_made_up_for_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path / "state")
    journal.record([refused(tmp_path, f"{number}.jpg") for number in range(30)])
    later = SimpleNamespace(time=lambda: time.time() + 100, monotonic=time.monotonic)
    monkeypatch.setattr(records_of_quarantine, "time", later)
    found: list[int] = []
    while journal.unrecorded() is not None:
        records_of_quarantine.make_up(journal, 0.0)
        found.append(len(outputs(tmp_path / "state" / "quarantine")))
        assert len(found) < 40
    assert found[0] == 1
    assert found[-1] == 30
    journal.close()


def test_a_record_that_another_thread_is_about_to_write_is_still_noted(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state")
    (first,), (second,) = (journal.record([refused(tmp_path, name)]) for name in ("a.jpg", "b.jpg"))
    assert first.noted is not None
    assert second.noted is not None
    records_of_quarantine.are_written(journal, {first.noted})
    assert journal.unrecorded() is not None
    journal.close()


def test_a_refused_file_leaves_no_note_once_its_record_is_there(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky").with_name("photo.jpg.toml").write_text("steps = 'many'\n")
    with Running(settings) as running:
        running.wait_for(failed=1)
        wait_until(lambda: len(outputs(tmp_path / "state" / "quarantine")) == 1)
        wait_until(lambda: _missing(running) is None)


def _missing(running: Running) -> Unrecorded | None:
    journal = Journal.open(running.daemon.settings.state, read_only=True)
    try:
        return journal.unrecorded()
    finally:
        journal.close()


def test_a_record_that_cannot_be_removed_is_no_trouble_for_its_picture(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "bad")
    with Running(settings) as running:
        running.wait_for(failed=1)
        (record,) = outputs(tmp_path / "state" / "quarantine")
        record.unlink()
        record.mkdir()  # which unlink does not remove
        drop(photo, "sky")
        running.wait_for(done=1)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert jobs_of(tmp_path, photo)[0].state == "done"

"""R9 with R19: what is said about a file whose name is no text is recorded too, and stops nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepdream_daemon.journal.intake import IntakeSide, NewJob, Recorded, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.outcomes import Outcomes
from deepdream_engine.errors import BadOption
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, wait_until

ODD = os.fsdecode(b"caf\xe9.jpg")


def test_whatever_is_said_can_be_recorded(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    folder, text, shown = Path("/in"), f"{ODD}: wrong", "caf\\udce9.jpg: wrong"
    jobs = [
        NewJob(key=f"{number}", folder=folder, sha256=f"{number}", recipe="classic", seed=1, error=error, advice=error)
        for number, error in enumerate([text, None, None])
    ]
    paths = [folder / f"{number}-{ODD}" for number in range(4)]
    journal.record([Taken(path=path, fingerprint="1", job=job) for path, job in zip(paths, jobs, strict=False)])
    journal.record([Taken(path=paths[3], fingerprint="1", reason=text)])
    assert journal.of_path(paths[0])[0].error == shown
    refused = journal.file(paths[3])
    assert refused is not None
    assert refused.verdict == shown
    journal.hold(folder, folder, text, text)
    journal.hold(folder, folder, text, text)
    assert [hold.error for hold in journal.holds()] == [shown]
    journal.set_aside(folder, due=time.time() + 9, error=text, advice=text)
    assert journal.of_path(paths[1])[0].error == shown
    journal.release(folder, folder)
    assert journal.of_path(paths[1])[0].error is None
    one, two = journal.claim(2, [folder])
    for _ in range(2):
        journal.put_off(one.id, due=0, attempts=1, delays=1, error=text, advice=text)
        assert journal.claim(1, [folder])[0].id == one.id
    assert journal.of_path(one.source)[0].history[-1][1] == f"put off: {shown} (the same again, 2 times)"
    journal.fail(one.id, attempts=1, error=text, advice=text)
    journal.withdraw(two, text)
    assert journal.of_path(one.source)[0].error == shown
    assert journal.history(two.source)[-1][1] == f"withdrawn: {shown}"
    journal.close()


def test_a_bad_side_file_with_an_odd_name_keeps_no_neighbour_out(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / ODD, "odd")
    photo.with_name(f"{ODD}.toml").write_text("octavs = 3\n")
    for name in ("b", "c"):
        drop(tmp_path / "in" / f"{name}.jpg", name)
    with Running(settings) as running:
        running.wait_for(done=2, failed=1)
    (job,) = jobs_of(tmp_path, photo)
    assert "octavs" in (job.error or "")
    assert len(outputs(tmp_path / "state" / "quarantine")) == 1


def test_a_batch_that_cannot_be_recorded_is_recorded_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = IntakeSide.record

    def record(self: IntakeSide, batch: Sequence[Taken]) -> list[Recorded]:
        if any(taken.path.name == "evil.jpg" for taken in batch):
            raise OverflowError("too large for SQLite")
        return real(self, batch)

    monkeypatch.setattr(IntakeSide, "record", record)
    settings = make_settings(tmp_path)
    for name in ("a", "evil", "z"):
        drop(tmp_path / "in" / f"{name}.jpg", name)
    with Running(settings) as running:
        running.wait_for(done=2)


def test_an_option_that_the_engine_refuses_fails_a_picture_with_an_odd_name(tmp_path: Path) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / ODD

    def refuse(text: bytes) -> None:
        if b"odd" in text:
            raise BadOption(f"{photo}.toml: channel 99999 is not there")

    renderer.before_dream = refuse
    settings = make_settings(tmp_path)
    drop(photo, "odd")
    drop(tmp_path / "in" / "b.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(done=1, failed=1, running=0)
    (job,) = jobs_of(tmp_path, photo)
    assert job.state == "failed"
    assert "channel 99999" in (job.error or "")


def test_a_picture_with_an_odd_name_that_becomes_a_link_is_withdrawn(tmp_path: Path) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / ODD

    def replace(text: bytes) -> None:
        if b"odd" in text and not photo.is_symlink():
            photo.unlink()
            photo.symlink_to("b.jpg")

    renderer.before_dream = replace
    settings = make_settings(tmp_path)
    drop(photo, "odd")
    drop(tmp_path / "in" / "b.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(done=1)
        wait_until(lambda: jobs_of(tmp_path, photo) == [] and running.counts()["running"] == 0)
    journal = Journal.open(settings.state, read_only=True)
    assert any("withdrawn" in what and "not a regular file" in what for _, what in journal.history(photo))
    journal.close()


def test_a_job_ends_even_when_what_happened_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(self: Outcomes, task: object, error: BaseException) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Outcomes, "failed", failed)
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / ODD, "bad")
    with Running(settings) as running:
        running.wait_for(failed=1, running=0)
        wait_until(lambda: running.daemon.snapshot().active == ())
    (job,) = jobs_of(tmp_path, photo)
    assert "BadPicture" in (job.error or "")
    assert len(outputs(tmp_path / "state" / "quarantine")) == 1


def test_a_job_that_nobody_could_end_is_queued_again_when_the_daemon_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(self: Outcomes, task: object, error: BaseException) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Outcomes, "failed", raises)
    monkeypatch.setattr(Outcomes, "given_up", raises)
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "bad.jpg", "bad")
    with Running(settings) as running:
        wait_until(lambda: running.counts()["running"] == 1 and running.daemon.snapshot().active == ())
    (job,) = jobs_of(tmp_path, photo)
    assert job.state == "queued"

"""What ended long ago is forgotten once its file is gone, bit by bit, and never what is needed to know a file again."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import quarantine
from deepdream_daemon.running import tidying
from deepdream_daemon.running.tidying import DAY_SECONDS, Tidying


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal beside two folders with a file in each."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "other").touch()
    opened = Journal.open(tmp_path / "state")
    yield opened
    opened.close()


def tidying_of(journal: Journal, keep_days: float = 90) -> Tidying:
    root = journal.state.parent
    made = Tidying(journal, keep_days, [root / "in", root / "out"])
    made.look_at_places()
    return made


def dreamt(journal: Journal, name: str) -> tuple[Path, Path]:
    """Take and dream a picture; return where it and its dream are."""
    source, output = journal.state.parent / "in" / name, journal.state.parent / "out" / name
    source.parent.mkdir(parents=True, exist_ok=True)
    source.touch()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.touch()
    job = NewJob(key=name, folder=journal.state.parent / "in", sha256=name, recipe="classic", seed=1)
    journal.record([Taken(path=source, fingerprint="1", job=job)])
    (claim,) = journal.claim(1, [job.folder])
    out = Announced(job=claim.id, temp=output.with_name(".t"), target=output, sha256=f"dream of {name}", inode=1)
    journal.announce(out)
    journal.finish(claim.id, 1.0)
    return source, output


def failed(journal: Journal, name: str) -> tuple[Path, Path]:
    """Take a picture that fails; return where it and its record are."""
    source = journal.state.parent / "in" / name
    source.touch()
    job = NewJob(key=name, folder=source.parent, sha256=name, recipe="classic", seed=1, error="broken", advice="")
    (entry,) = journal.record([Taken(path=source, fingerprint="1", job=job)])
    assert entry.job is not None
    return source, quarantine.write(journal.state, entry.job, source, {"reason": "broken"})


def age(journal: Journal, days: float) -> None:
    """Let so much time have passed."""
    seconds = days * DAY_SECONDS
    with journal._transaction() as connection:
        connection.execute("UPDATE jobs SET created = created - ?, updated = updated - ?", (seconds, seconds))
        connection.execute("UPDATE history SET at = at - ?", (seconds,))


def rows(journal: Journal) -> dict[str, int]:
    tables = ("jobs", "files", "outputs", "history")
    return {table: journal._rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def test_what_ended_long_ago_and_is_gone_is_forgotten(journal: Journal) -> None:
    source, output = dreamt(journal, "a.jpg")
    bad, record = failed(journal, "bad.jpg")
    for path in (source, output, bad):
        path.unlink()
    age(journal, 91)
    assert sum(tidying_of(journal).sweep()) > 0
    assert rows(journal) == {"jobs": 0, "files": 0, "outputs": 0, "history": 0}
    assert not record.exists()
    assert journal.counts()["done"] == journal.counts()["failed"] == 0


def test_what_is_there_or_ended_lately_is_kept(journal: Journal) -> None:
    source, output = dreamt(journal, "there.jpg")
    bad, record = failed(journal, "bad.jpg")
    age(journal, 1000)
    lately, _ = dreamt(journal, "lately.jpg")
    lately.unlink()
    before = rows(journal)
    assert sum(tidying_of(journal).sweep()) == 0
    assert rows(journal) == before
    assert record.exists()
    assert source.exists()
    assert output.exists()
    assert bad.exists()


def test_a_dream_is_recognised_for_as_long_as_it_is_there(journal: Journal) -> None:
    source, output = dreamt(journal, "a.jpg")
    source.unlink()
    age(journal, 1000)
    tidy = tidying_of(journal)
    assert sum(tidy.sweep()) == 1
    assert journal.of_path(source) == []
    assert journal.output_with("dream of a.jpg") == output
    output.unlink()
    assert sum(tidy.sweep()) == 1
    assert journal.output_with("dream of a.jpg") is None


@pytest.mark.parametrize("how", ["renamed", "emptied", "replaced"])
def test_nothing_is_gone_on_a_disk_that_is_not_mounted(journal: Journal, how: str) -> None:
    source, _ = dreamt(journal, "a.jpg")
    age(journal, 1000)
    tidying_of(journal)  # which has seen the folders with something in them
    away = source.parent.rename(source.parent.with_name("unmounted"))
    if how != "renamed":
        source.parent.mkdir()
    if how == "replaced":
        (source.parent / "what lies beneath").touch()
    before = rows(journal)
    tidy = Tidying(journal, 90, [source.parent, source.parent.with_name("out")])
    if how == "emptied":
        tidy.look_at_places()
    assert sum(tidy.sweep()) == 0
    assert rows(journal) == before
    if how != "renamed":
        (source.parent / "what lies beneath").unlink(missing_ok=True)
        source.parent.rmdir()
    away.rename(source.parent)
    tidy.look_at_places()
    source.unlink()
    assert sum(tidy.sweep()) == 1


def test_an_empty_drop_box_is_no_disk_that_was_unmounted(journal: Journal) -> None:
    """With source = "move", the input folder is empty most of the time."""
    source, _ = dreamt(journal, "a.jpg")
    age(journal, 1000)
    tidy = tidying_of(journal)
    source.unlink()
    (source.parent / "other").unlink()
    assert sum(tidy.sweep()) == 1


def test_what_may_not_be_looked_at_is_not_gone(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = dreamt(journal, "a.jpg")
    age(journal, 1000)
    tidy = tidying_of(journal)

    def lstat(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(tidying.os, "lstat", lstat)
    assert sum(tidy.sweep()) == 0
    assert journal.of_path(source) != []


def test_a_dream_that_has_not_arrived_keeps_its_job(journal: Journal) -> None:
    journal.sinks = {journal.state.parent / "in": ("webhook",)}
    source, _ = dreamt(journal, "a.jpg")
    source.unlink()
    age(journal, 1000)
    assert sum(tidying_of(journal).sweep()) == 0
    assert journal.undelivered().pending == 1


def test_a_job_that_is_asked_for_again_meanwhile_is_kept(journal: Journal) -> None:
    source, _ = dreamt(journal, "a.jpg")
    source.unlink()
    age(journal, 1000)
    ended = next(journal.ended("done", time.time() - DAY_SECONDS, 10))
    journal.retry(source)
    assert journal.forget_ended(ended) == 0
    assert journal.counts()["queued"] == 1


def test_why_a_file_was_refused_is_forgotten_with_it(journal: Journal) -> None:
    copy = journal.state.parent / "in" / "copy.jpg"
    copy.touch()
    journal.record([Taken(path=copy, fingerprint="1", reason="it is a dream of this daemon already")])
    age(journal, 91)
    tidy = tidying_of(journal)
    assert sum(tidy.sweep()) == 0
    copy.unlink()
    assert sum(tidy.sweep()) > 0
    assert journal.file(copy) is None
    assert journal.history(copy) == ()


def test_a_long_history_keeps_its_latest_lines(journal: Journal) -> None:
    source, _ = dreamt(journal, "a.jpg")
    with journal._transaction() as connection:
        for number in range(200):
            journal._note(connection, bytes(source), 1, f"put off for the {number}th time")
    age(journal, 91)
    sum(tidying_of(journal).sweep())
    lines = journal.history(source)
    assert len(lines) == tidying.LINES
    assert lines[-1][1] == "put off for the 199th time"


def test_a_record_that_was_left_behind_is_removed(journal: Journal) -> None:
    source, record = failed(journal, "bad.jpg")
    orphan = quarantine.write(journal.state, 4711, source, {"reason": "the daemon was killed"})
    text = json.loads(orphan.read_text())
    assert text["job"] == 4711
    assert sum(tidying_of(journal, keep_days=0).sweep()) == 1
    assert not orphan.exists()
    assert record.exists()


def test_what_ended_in_the_future_is_not_kept_until_then(journal: Journal) -> None:
    source, _ = dreamt(journal, "a.jpg")
    source.unlink()
    age(journal, -5000)  # the clock was wrong
    tidy = tidying_of(journal)
    assert sum(tidy.sweep()) == 0
    (job,) = journal.of_path(source)
    assert abs(job.updated - time.time()) < 60
    age(journal, 91)
    assert sum(tidy.sweep()) == 1


def test_it_goes_in_small_transactions_beside_the_work(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        dreamt(journal, f"{number}/a.jpg")[0].unlink()
    age(journal, 1000)
    monkeypatch.setattr(tidying, "FEW", 1)
    assert [count for count in tidying_of(journal).sweep() if count] == [1, 1, 1]


def test_its_thread_sweeps_by_itself_and_ends_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = dreamt(journal, "a.jpg")
    source.unlink()
    age(journal, 1000)
    monkeypatch.setattr(tidying, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(tidying, "FIRST_SECONDS", 0.05)
    stop = threading.Event()
    thread = threading.Thread(target=tidying_of(journal).run, args=(stop,), daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while journal.of_path(source) and time.monotonic() < until:
        time.sleep(0.02)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert journal.of_path(source) == []


def test_without_an_end_nothing_is_forgotten(journal: Journal) -> None:
    dreamt(journal, "a.jpg")[0].unlink()
    age(journal, 1000)
    root = journal.state.parent
    assert list(Tidying(journal, None, [root / "in"]).sweep()) == []


def test_a_step_of_the_tidying_that_fails_keeps_no_other_from_being_taken(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    stop, swept = threading.Event(), threading.Event()
    made = tidying_of(journal)
    monkeypatch.setattr(made, "look_at_places", fails)
    monkeypatch.setattr(tidying.preview, "withdraw", fails)
    monkeypatch.setattr(tidying, "sweep_spools", lambda _: swept.set())
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        assert swept.wait(30)
    finally:
        stop.set()
        thread.join(30)

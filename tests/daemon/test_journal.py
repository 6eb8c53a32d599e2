"""The journal: durable, refused when it is not ours, quick with many rows, and careful about what a job may become."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.journal.claims import Announced, Claim
from deepdream_daemon.journal.intake import NewJob, Recorded, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.schema import SCHEMA_VERSION
from deepdream_daemon.journal.store import FILE_NAME
from deepdream_engine.errors import DeepDreamError

FOLDER = Path("/in")


def _taken(name: str, key: str = "", fingerprint: str = "1", folder: Path = FOLDER) -> Taken:
    job = NewJob(key=key or name, folder=folder, sha256=f"hash of {name}", recipe="classic", seed=2**62)
    return Taken(path=folder / name, fingerprint=fingerprint, job=job)


def _record(journal: Journal, *taken: Taken) -> list[Recorded]:
    return journal.record(taken)


def _claim_one(journal: Journal) -> Claim:
    (claim,) = journal.claim(1, [FOLDER])
    return claim


def _announced(job: int) -> Announced:
    return Announced(job=job, temp=Path("/out/.t"), target=Path("/out/a.jpg"), sha256="out", inode=7)


@pytest.fixture
def journal(tmp_path: Path):  # type: ignore[no-untyped-def]
    opened = Journal.open(tmp_path)
    yield opened
    opened.close()


def test_a_job_goes_from_queued_to_done(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    claim = _claim_one(journal)
    assert (claim.source, claim.sha256) == (FOLDER / "a.jpg", "hash of a.jpg")
    assert journal.claim(1, [FOLDER]) == []
    assert journal.announce(_announced(claim.id))
    journal.finish(claim.id, 1.5)
    (job,) = journal.of_path(FOLDER / "a.jpg")
    assert (job.state, job.output, job.seconds) == ("done", Path("/out/a.jpg"), 1.5)
    assert [what for _, what in job.history] == ["queued for classic", "done"]
    assert journal.counts()["done"] == 1
    assert journal.output_with("out") == Path("/out/a.jpg")
    found = journal.find_by_key("a.jpg")
    assert found is not None
    assert found.id == job.id


def test_the_oldest_is_claimed_first_and_only_of_open_folders(journal: Journal) -> None:
    other = Path("/other")
    _record(journal, _taken("1"), _taken("2", folder=other), _taken("3"))
    assert [claim.source.name for claim in journal.claim(10, [FOLDER])] == ["1", "3"]
    assert [claim.source.name for claim in journal.claim(10, [FOLDER, other])] == ["2"]


def test_a_known_file_is_known_until_it_or_its_side_file_changes(journal: Journal) -> None:
    _record(journal, _taken("a.jpg", fingerprint="1"))
    assert journal.is_known(FOLDER / "a.jpg", "1")
    assert not journal.is_known(FOLDER / "a.jpg", "2")
    assert not journal.is_known(FOLDER / "a.jpg", "1+side")
    assert journal.known(FOLDER) == {"a.jpg": "1"}


def test_the_same_key_is_never_queued_twice(journal: Journal) -> None:
    first, again = _record(journal, _taken("a.jpg"), _taken("a.jpg", fingerprint="2"))
    assert first.job == again.job
    assert journal.counts()["queued"] == 1


def test_a_newer_content_replaces_a_job_that_has_not_begun(journal: Journal) -> None:
    (first,) = _record(journal, _taken("a.jpg", key="old"))
    (second,) = _record(journal, _taken("a.jpg", key="new", fingerprint="2"))
    assert second.replaced == (first.job,)
    assert [job.key for job in journal.of_path(FOLDER / "a.jpg")] == ["new"]
    assert any("replaced" in what for _, what in journal.history(FOLDER / "a.jpg"))


def test_a_job_that_was_put_off_waits_and_then_comes_first(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"), _taken("b.jpg"))
    claim = _claim_one(journal)
    journal.put_off(claim.id, due=time.time() + 1.0, attempts=1, delays=1, error="e", advice="a")
    assert journal.counts()["waiting"] == 1
    assert [job.error for job in journal.recent("waiting")] == ["e"]
    assert _claim_one(journal).source.name == "b.jpg"
    time.sleep(1.05)
    again = _claim_one(journal)
    assert (again.id, again.attempts, again.delays) == (claim.id, 1, 1)


def test_a_clock_that_was_set_back_makes_nobody_wait_for_years(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    journal.put_off(_claim_one(journal).id, due=time.time() + 1e9, attempts=0, delays=0, error="", advice="")
    journal.mend_clock()
    assert journal.recent("waiting")[0].due < time.time() + 700


def test_a_job_that_went_back_to_the_queue_cannot_be_published(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    claim = _claim_one(journal)
    journal.put_back([claim.id], "given up")
    assert not journal.announce(_announced(claim.id))
    journal.finish(claim.id, None)
    assert journal.counts()["queued"] == 1


def test_what_is_announced_only_recovery_takes_back(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    claim = _claim_one(journal)
    assert journal.announce(_announced(claim.id))
    journal.put_back([claim.id], "the daemon stops")
    journal.put_off(claim.id, due=0, attempts=1, delays=1, error="e", advice="a")
    journal.fail(claim.id, attempts=1, error="e", advice="a")
    assert journal.announced(claim.id) == _announced(claim.id)
    journal.take_back(claim.id, "it is not visible")
    assert journal.announced(claim.id) is None
    assert journal.counts()["queued"] == 1


@pytest.mark.parametrize("inode", [0, 7, 2**63 + 5, 2**64 - 1])
def test_any_inode_is_kept(journal: Journal, inode: int) -> None:
    _record(journal, _taken("a.jpg"))
    out = replace(_announced(_claim_one(journal).id), inode=inode)
    assert journal.announce(out)
    assert journal.announced(out.job) == out


def test_the_same_again_adds_no_line_to_the_history(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    error = "the weights of 'googlenet' cannot be had. " * 20
    for number in range(50):
        claim = _claim_one(journal)
        journal.put_off(claim.id, due=time.time() - 1, attempts=0, delays=number, error=error, advice="a")
    (job,) = journal.of_path(FOLDER / "a.jpg")
    assert len(job.history) == 2
    when, what = job.history[1]
    assert what.startswith("put off: the weights")
    assert what.endswith("(the same again, 50 times)")
    assert len(what) < 200
    assert time.time() - when < 5
    assert job.error == error
    journal.fail(_claim_one(journal).id, attempts=3, error="another", advice="a")
    assert [what for _, what in journal.history(FOLDER / "a.jpg")][2:] == ["failed: another"]


def test_a_hold_is_seen_from_outside_until_it_is_released(tmp_path: Path, journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    journal.put_off(_claim_one(journal).id, due=time.time() + 99, attempts=0, delays=1, error="it is full", advice="")
    journal.hold(FOLDER, Path("/out"), "it is full", "Free some.")
    journal.hold(FOLDER, Path("/out"), "it is full", "Free some.")
    other = Journal.open(tmp_path, read_only=True)
    (hold,) = other.holds()
    assert (hold.folder, hold.directory, hold.error) == (FOLDER, Path("/out"), "it is full")
    journal.release(FOLDER, Path("/out"))
    assert other.holds() == []
    assert other.counts()["waiting"] == 0
    other.close()


def test_only_the_pictures_of_one_directory_are_set_aside(journal: Journal) -> None:
    names = ("a.jpg", "ro/b.jpg", "ro/sub/c.jpg", "ro0.jpg", "ro/d.jpg", "ro.jpg")
    _record(journal, *(_taken(name) for name in names))
    journal.hold(FOLDER, Path("/out/ro"), "read-only", "Make it writable.")
    journal.set_aside(FOLDER / "ro", due=time.time() + 99, error="read-only", advice="Make it writable.")
    assert sorted(job.source.name for job in journal.recent("waiting")) == ["b.jpg", "d.jpg"]
    assert {job.error for job in journal.recent("waiting")} == {"read-only"}
    assert [claim.source.name for claim in journal.claim(10, [FOLDER])] == ["a.jpg", "c.jpg", "ro0.jpg", "ro.jpg"]
    journal.release(FOLDER, Path("/out/ro"))
    assert {(job.source.name, job.error) for job in journal.recent("queued")} == {("b.jpg", None), ("d.jpg", None)}


def test_the_next_in_turn_are_listed_as_they_are_claimed(journal: Journal) -> None:
    _record(journal, *(_taken(name) for name in "abc"))
    first = _claim_one(journal)
    journal.put_off(first.id, due=time.time() - 1, attempts=1, delays=1, error="e", advice="x")
    listed = [job.source.name for job in journal.recent("queued", 2)]
    assert listed == [claim.source.name for claim in journal.claim(2, [FOLDER])] == ["a", "b"]


def test_a_vanished_file_is_unknown_and_queued_when_it_returns(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    journal.vanish(_claim_one(journal))
    assert not journal.is_known(FOLDER / "a.jpg", "1")
    assert journal.counts()["vanished"] == 1
    _record(journal, _taken("a.jpg"))
    assert journal.counts()["vanished"] == 0
    assert journal.counts()["queued"] == 1


def test_a_withdrawn_job_leaves_its_history(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    journal.withdraw(_claim_one(journal), "it changed")
    assert journal.of_path(FOLDER / "a.jpg") == []
    assert journal.history(FOLDER / "a.jpg")[-1][1] == "withdrawn: it changed"
    assert journal.file(FOLDER / "a.jpg") is None


def test_two_connections_take_turns(tmp_path: Path, journal: Journal) -> None:
    other = Journal.open(tmp_path)
    threads = [
        threading.Thread(target=lambda j=j, n=n: [_record(j, _taken(f"{n} {i}")) for i in range(50)])
        for n, j in enumerate((journal, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.counts()["queued"] == journal.counts()["queued"] == 100
    other.close()


def test_many_may_create_it_at_once(tmp_path: Path) -> None:
    made: list[Journal] = []
    threads = [threading.Thread(target=lambda: made.append(Journal.open(tmp_path / "new"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({journal.instance for journal in made}) == 1
    for journal in made:
        journal.close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_journal_of_a_newer_version_is_refused_and_kept(tmp_path: Path, journal: Journal) -> None:
    raw = sqlite3.connect(tmp_path / FILE_NAME)
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    for read_only in (False, True):
        with pytest.raises(DeepDreamError, match=f"version {SCHEMA_VERSION + 1}"):
            Journal.open(tmp_path, read_only=read_only)
    assert (tmp_path / FILE_NAME).exists()


def test_a_broken_journal_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 1000)
    for read_only in (False, True):
        with pytest.raises(DeepDreamError, match="cannot be used"):
            Journal.open(tmp_path, read_only=read_only)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"this is no database")


def test_it_is_durable_by_its_settings(journal: Journal) -> None:
    pragmas = [journal._rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "busy_timeout")]
    assert pragmas == ["wal", 2, 10_000]


def test_no_question_walks_through_a_whole_table(journal: Journal) -> None:
    _record(journal, _taken("a.jpg"))
    asked: list[str] = []
    journal._connection.set_trace_callback(asked.append)
    claim = _claim_one(journal)
    journal.put_off(claim.id, due=time.time() - 1, attempts=0, delays=0, error="", advice="")
    assert journal.announce(_announced(_claim_one(journal).id))
    journal.at_work()
    journal.finish(claim.id, 1.0)
    journal.counts()
    journal.recent("done", 5)
    journal.recent("waiting", 5)
    journal.known(FOLDER)
    journal.is_known(FOLDER / "a.jpg", "1")
    journal.of_path(FOLDER / "a.jpg")
    journal.of_output(Path("/out/a.jpg"))
    journal.output_with("out")
    journal.hold(FOLDER, Path("/out"), "", "")
    journal.set_aside(FOLDER, due=1.0, error="", advice="")
    journal.release(FOLDER, Path("/out"))
    journal.holds()
    journal.latest_failed(5)
    journal.recent("queued", 5)
    journal.history(FOLDER / "a.jpg")
    journal.mend_clock()
    journal.retry(FOLDER / "a.jpg")
    _record(journal, _taken("a.jpg", key="another"))
    journal._connection.set_trace_callback(None)
    for sql in {sql for sql in asked if sql.startswith(("SELECT", "UPDATE", "DELETE")) and "tally" not in sql}:
        plan = " ".join(row["detail"] for row in journal._rows(f"EXPLAIN QUERY PLAN {sql}"))
        assert "SCAN jobs" not in plan, (sql, plan)
        assert "SCAN files" not in plan, (sql, plan)
        assert "SCAN history" not in plan, (sql, plan)
        if "ORDER BY due" in sql or "ORDER BY id LIMIT" in sql:
            assert "TEMP B-TREE" not in plan, (sql, plan)

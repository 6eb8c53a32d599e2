"""A journal of the version before goes on: it is brought up to date in one step, or read as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from deepdream_daemon.journal import opening, schema, store
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal

FOLDER = Path("/in")


def _job(name: str) -> Taken:
    job = NewJob(key=name, folder=FOLDER, sha256="0", recipe="classic", seed=1)
    return Taken(path=FOLDER / name, fingerprint="1", job=job)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal as version 1 made it, with a job in each of three states."""
    with sqlite3.connect(tmp_path / store.FILE_NAME) as made:
        made.executescript(f"BEGIN; {schema._VERSION_1} INSERT INTO meta VALUES ('instance', 'abc'); COMMIT;")
        made.execute("PRAGMA user_version = 1")
        for number, state in enumerate(("queued", "done", "failed")):
            made.execute(
                "INSERT INTO jobs (key, source, folder, sha256, recipe, seed, state, target, created, updated)"
                " VALUES (?, ?, ?, '0', 'classic', 1, ?, ?, 5, 6)",
                (state, b"/in/%d.jpg" % number, b"/in", state, b"/out/1.jpg"),
            )
    made.close()
    return tmp_path


def _tables(state: Path) -> dict[str, str]:
    raw = sqlite3.connect(state / store.FILE_NAME)
    rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    raw.close()
    return {name: " ".join(sql.split()) for name, sql in rows}


def _version(state: Path) -> int:
    raw = sqlite3.connect(state / store.FILE_NAME)
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    raw.close()
    return version


def test_an_old_journal_is_brought_up_to_date_with_all_that_is_in_it(
    old: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = Journal.open(old)
    assert journal.instance == "abc"
    assert {state: count for state, count in journal.counts().items() if count} == {"queued": 1, "done": 1, "failed": 1}
    assert [job.output for job in journal.of_path(FOLDER / "1.jpg")] == [Path("/out/1.jpg")]
    journal.sinks = {FOLDER: ("webhook",)}
    (claim,) = journal.claim(1, [FOLDER])
    assert journal.announce(
        Announced(job=claim.id, temp=Path("/out/.t"), target=Path("/out/a.jpg"), sha256="o", inode=7)
    )
    journal.finish(claim.id, 1.0)
    assert journal.undelivered().pending == 1
    journal.close()
    assert _version(old) == schema.SCHEMA_VERSION
    fresh = tmp_path_factory.mktemp("fresh")
    Journal.open(fresh).close()
    assert _tables(old) == _tables(fresh)


def test_an_update_that_fails_half_way_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _tables(old)
    monkeypatch.setattr(opening, "steps_from", lambda version: f"{schema.steps_from(version)} CREATE TABLE jobs (a);")
    with pytest.raises(Exception, match="jobs already exists"):
        Journal.open(old)
    assert _tables(old) == before
    assert _version(old) == 1
    monkeypatch.undo()
    Journal.open(old).close()
    assert _version(old) == schema.SCHEMA_VERSION


def test_whoever_only_looks_reads_an_old_journal_and_leaves_it_as_it_is(old: Path) -> None:
    before = (old / store.FILE_NAME).read_bytes()
    journal = Journal.open(old, read_only=True)
    assert journal.counts()["done"] == 1
    (job,) = journal.of_path(FOLDER / "1.jpg")
    assert (job.deliveries, job.chosen_by) == ((), None)
    assert journal.undelivered().pending == 0
    assert journal.delivery_troubles() == {}
    assert journal.disabled_plugins() == {}
    journal.close()
    assert (old / store.FILE_NAME).read_bytes() == before


def test_what_a_newer_version_added_is_forgotten_with_its_job(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    taken = _job("a.jpg")
    assert taken.job is not None
    chosen = NewJob(key="a", folder=FOLDER, sha256="0", recipe="deep", seed=1, choice="deep", chosen_by="picker")
    journal.record([Taken(path=FOLDER / "a.jpg", fingerprint="1", job=chosen)])
    assert [job.chosen_by for job in journal.of_path(FOLDER / "a.jpg")] == ["picker"]
    (claim,) = journal.claim(1, [FOLDER])
    assert claim.choice == "deep"
    journal.withdraw(claim, "changed")
    journal.record([taken])
    (again,) = journal.claim(1, [FOLDER])
    assert again.choice is None
    journal.close()

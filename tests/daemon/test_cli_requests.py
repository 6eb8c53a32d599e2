"""``retry`` and ``forget``: for a file, for many, for folders; no file is ever touched."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import quarantine
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.stub import Running, drop, make_settings, outputs

__all__ = ["nowhere"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration."""
    write_template(tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def journal(place: Path) -> Iterator[Journal]:
    """Its journal, open while commands run."""
    opened = Journal.open(place / "state")
    yield opened
    opened.close()


def add(journal: Journal, name: str, state: str) -> Path:
    """Bring a picture into ``state``."""
    root = journal.state.parent
    path = root / "in" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.touch()
    error = "broken" if state == "failed" else None
    job = NewJob(key=name, folder=root / "in", sha256=name, recipe="classic", seed=1, error=error)
    (entry,) = journal.record([Taken(path=path, fingerprint="1", job=job)])
    assert entry.job is not None
    if state == "failed":
        quarantine.write(journal.state, entry.job, path, {"reason": error})
    if state in {"queued", "failed"}:
        return path
    (claim,) = journal.claim(1, [root / "in"])
    if state == "waiting":
        journal.put_off(claim.id, due=time.time() + 200, attempts=2, delays=3, error="offline", advice="")
    if state == "done":
        target = root / "out" / name
        target.parent.mkdir(exist_ok=True, parents=True)
        target.touch()
        journal.announce(Announced(job=claim.id, temp=target, target=target, sha256=f"dream of {name}", inode=1))
        journal.finish(claim.id, 1.0)
    return path


def states(journal: Journal) -> dict[str, int]:
    return {state: count for state, count in journal.counts().items() if count}


def ask(place: Path, *words: str | Path) -> str:
    result = deepdream(*words, "--config", place / "config.toml")
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def refused(place: Path, *words: str | Path) -> str:
    result = deepdream(*words, "--config", place / "config.toml")
    assert result.exit_code == 1
    return result.stderr.strip()


def test_all_that_failed_is_retried_and_nothing_else(place: Path, journal: Journal) -> None:
    for name, state in (("a", "failed"), ("b/c", "failed"), ("d", "waiting"), ("e", "done"), ("f", "queued")):
        add(journal, name, state)
    assert ask(place, "retry", "--failed") == "2 queued again; start the daemon: deepdream run"
    assert states(journal) == {"queued": 3, "waiting": 1, "done": 1}
    assert list((place / "state" / "quarantine").iterdir()) == []
    assert "nothing failed or waits" in refused(place, "retry", "--failed")


def test_all_includes_what_waits_for_its_next_try(place: Path, journal: Journal) -> None:
    for name, state in (("a", "failed"), ("b", "waiting"), ("c", "done")):
        add(journal, name, state)
    told = json.loads(ask(place, "retry", "--all", "--json"))
    assert told == {"paths": [], "queued": 2, "deliveries": 0, "running": False}
    (again,) = [claim for claim in journal.claim(10, [place / "in"]) if claim.source.name == "b"]
    assert (again.attempts, again.delays) == (0, 0)


def test_what_waits_for_a_file_beside_it_is_left_waiting(place: Path, journal: Journal) -> None:
    job = NewJob(key="k", folder=place / "in", sha256="", recipe="guided", seed=0, expects=True, error="waits: x")
    journal.record([Taken(path=place / "in" / "a.png", fingerprint="f", job=job)])
    assert "nothing failed or waits" in refused(place, "retry", "--all")
    assert states(journal) == {"waiting": 1}


def test_all_includes_dreams_that_did_not_arrive(place: Path, journal: Journal) -> None:
    journal.sinks = {place / "in": ("webhook",)}
    add(journal, "a", "done")
    parcel = journal.take_parcel(place / "in", "webhook", lambda _: 60.0)
    assert parcel is not None
    journal.give_up_delivery(parcel, "webhook", "offline")
    assert journal.undelivered().given_up == 1
    assert "nothing in it failed" in refused(place, "retry", "--failed", place / "in")
    assert ask(place, "retry", "--all").startswith("1 brought to sinks again")
    assert journal.undelivered().pending == 1
    assert states(journal) == {"done": 1}


def test_a_folder_is_retried_by_itself_alone(place: Path, journal: Journal) -> None:
    for name in ("a/1", "a/b/2", "a0/3", "4"):
        add(journal, name, "failed")
    assert "is a folder" in refused(place, "retry", place / "in" / "a")
    assert ask(place, "retry", "--failed", place / "in" / "a").startswith("2 queued again")
    assert states(journal) == {"queued": 2, "failed": 2}


def test_several_files_are_retried(place: Path, journal: Journal) -> None:
    paths = [add(journal, name, "failed") for name in "abc"]
    assert ask(place, "retry", *paths[:2]).startswith("2 queued again")
    assert states(journal) == {"queued": 2, "failed": 1}


def test_retry_asks_for_something(place: Path) -> None:
    result = deepdream("retry", "--config", place / "config.toml")
    assert result.exit_code == 2
    assert "Name FILE, or give --failed or --all." in result.stderr


def test_more_than_fit_a_transaction_are_retried(place: Path, journal: Journal) -> None:
    taken = [
        Taken(
            path=place / "in" / f"{n}.jpg",
            fingerprint="1",
            job=NewJob(key=f"{n}", folder=place / "in", sha256="", recipe="classic", seed=1, error="broken"),
        )
        for n in range(1234)
    ]
    journal.record(taken)
    assert ask(place, "retry", "--failed").startswith("1234 queued again")
    assert states(journal) == {"queued": 1234}


def test_a_forgotten_picture_leaves_no_trace_but_its_dream_is_still_known(place: Path, journal: Journal) -> None:
    path, other = add(journal, "a.jpg", "done"), add(journal, "b.jpg", "done")
    before = sorted(found for found in place.rglob("*.jpg"))
    assert ask(place, "forget", path) == f"{path}: forgotten; it is in a watched folder, so it is taken anew"
    assert (journal.of_path(path), journal.file(path), journal.history(path)) == ([], None, ())
    assert journal.output_with("dream of a.jpg") == place / "out" / "a.jpg"
    assert len(journal.of_path(other)) == 1
    assert sorted(found for found in place.rglob("*.jpg")) == before
    assert "there was nothing to forget" in refused(place, "forget", path)


@pytest.mark.parametrize("state", ["queued", "waiting", "failed", "done"])
def test_whatever_rests_can_be_forgotten(place: Path, journal: Journal, state: str) -> None:
    path = add(journal, "a.jpg", state)
    path.unlink()
    assert ask(place, "forget", path) == f"{path}: forgotten"
    assert states(journal) == {}
    assert not list((place / "state").glob("quarantine/*"))


def test_what_is_under_way_is_not_forgotten(place: Path, journal: Journal) -> None:
    add(journal, "done.jpg", "done")
    path = add(journal, "a.jpg", "running")
    for words in (("forget", path), ("forget", "-r", place / "in")):
        assert "under way at the moment, so nothing was forgotten" in refused(place, *words)
    assert states(journal) == {"running": 1, "done": 1}


def test_a_refusal_is_forgotten(place: Path, journal: Journal) -> None:
    path = place / "in" / "copy.jpg"
    path.touch()
    journal.record([Taken(path=path, fingerprint="1", reason="it is a dream of this daemon already")])
    assert "forgotten" in ask(place, "forget", path)
    assert (journal.file(path), journal.history(path)) == (None, ())


def test_a_folder_is_forgotten_on_demand_alone(place: Path, journal: Journal) -> None:
    for name in ("a/1.jpg", "a/b/2.jpg", "a0/3.jpg"):
        add(journal, name, "done")
    assert "forget -r FOLDER" in refused(place, "forget", place / "in" / "a")
    told = json.loads(ask(place, "forget", "-r", place / "in" / "a", "--json"))
    assert told == [{"path": str(place / "in" / "a"), "forgotten": 2}]
    assert states(journal) == {"done": 1}
    assert journal.known(place / "in" / "a" / "b") == {}
    assert journal.known(place / "in" / "a0") == {"3.jpg": "1"}


def test_a_running_daemon_takes_a_forgotten_picture_anew(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, rescan_seconds=0.2)
    (tmp_path / "config.toml").write_text('[[folders]]\ninput = "in"\noutput = "out"\n')
    photo = drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        ask(tmp_path, "forget", photo)
        running.wait_for(done=1)
    assert [path.name for path in outputs(tmp_path / "out")] == ["a.classic-2.jpg", "a.classic.jpg"]
    assert photo.exists()

"""The write-ahead log is carried over beside the work, not in the middle of a claim."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdream_daemon.journal import checkpointing
from deepdream_daemon.journal.checkpointing import Checkpointing
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.store import FILE_NAME


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal."""
    opened = Journal.open(tmp_path)
    yield opened
    opened.close()


def work(journal: Journal, jobs: int, begin: int = 0) -> None:
    for number in range(begin, begin + jobs):
        job = NewJob(key=f"{number}", folder=Path("/in"), sha256="0" * 64, recipe="classic", seed=1)
        journal.record([Taken(path=Path(f"/in/{number}.jpg"), fingerprint="1", job=job)])


def test_nothing_is_carried_over_by_those_who_work(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "ENOUGH_BYTES", 1 << 20)
    file = journal.state / FILE_NAME
    before = file.stat().st_mtime_ns
    tending = Checkpointing(journal)
    assert not tending.tend()
    work(journal, 200)
    assert file.stat().st_mtime_ns == before
    assert tending.tend()
    assert file.stat().st_mtime_ns != before


def test_the_log_stays_short_beside_the_work(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "ENOUGH_BYTES", 1 << 18)
    monkeypatch.setattr(checkpointing, "LOOK_SECONDS", 0.02)
    stop = threading.Event()
    thread = threading.Thread(target=Checkpointing(journal).run, args=(stop,), daemon=True)
    thread.start()
    for turn in range(6):
        work(journal, 100, 100 * turn)
        time.sleep(0.1)  # then the log is begun anew
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert journal.counts()["queued"] == 600
    assert (journal.state / f"{FILE_NAME}-wal").stat().st_size < 8 << 20


def test_what_fails_is_tried_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "LOOK_SECONDS", 0.01)
    tending, stop, tried = Checkpointing(journal), threading.Event(), []

    def fail() -> bool:
        tried.append(1)
        if len(tried) > 2:
            stop.set()
        raise OSError("it is away")

    monkeypatch.setattr(tending, "tend", fail)
    tending.run(stop)
    assert len(tried) == 3

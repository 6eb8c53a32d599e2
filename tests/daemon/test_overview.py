"""What is told of a running daemon, whatever happens meanwhile."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.monitoring import showing
from deepdream_daemon.running.snapshot import Finished
from deepdream_daemon.running.tally import Tally
from tests.daemon.stub import Running, make_settings, wait_until


@pytest.fixture
def _threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_take_turns_often")
def test_what_was_done_lately_can_be_asked_for_while_more_is_done() -> None:
    done = Finished(job=1, path=Path("/in/1"), output=Path("/out/1"), seconds=1)
    works: Any = SimpleNamespace(pipeline=SimpleNamespace(outcomes=_outcomes(done)))
    tally, is_over = Tally(lambda: (works,)), threading.Event()

    def work() -> None:
        while not is_over.is_set():
            works.pipeline.outcomes.finished.append(done)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert len(tally.finished()) == 50
    finally:
        is_over.set()
        thread.join()


def _outcomes(done: Finished) -> Any:
    return SimpleNamespace(finished=deque([done] * 50, maxlen=50), troubles=deque())


def test_the_daemon_is_shown_again_after_the_journal_could_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "EVERY_SECONDS", 0.02)
    settings = make_settings(tmp_path)

    def fail(_: Journal) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with Running(settings) as running, showing.watching(settings.state) as latest:
        wait_until(lambda: latest() is not None)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "counts", fail)
            assert "the journal cannot be read: disk I/O error" in (running.daemon.snapshot().degraded or "")
            wait_until(lambda: "disk I/O error" in (getattr(latest(), "degraded", None) or ""))
        wait_until(lambda: getattr(latest(), "degraded", "") is None)

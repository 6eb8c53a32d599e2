"""Threads that cannot be started, as the system has no more: what was meant for them is done later, and once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deepdream_daemon.pipeline.threads import DaemonThreads
from tests.daemon.stub import Running, drop, make_settings, outputs, wait_until


def no_thread(monkeypatch: pytest.MonkeyPatch, name: str, times: int = 1) -> list[str]:
    """Have the system refuse to start the next threads whose name begins so; return those that it has refused."""
    start = threading.Thread.start
    refused: list[str] = []

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith(name) and len(refused) < times:
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return refused


def test_work_that_no_thread_is_there_for_is_refused_and_not_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    no_thread(monkeypatch, "tests")
    threads, done = DaemonThreads(2, "tests"), list[int]()
    with pytest.raises(OSError, match="no thread"):
        threads.submit(done.append, 1)
    threads.submit(done.append, 2).result(60)
    threads.submit(done.append, 3).result(60)
    threads.shutdown()
    assert done == [2, 3]


def test_work_is_done_by_the_threads_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, goes_on = DaemonThreads(2, "tests"), threading.Event()
    first = threads.submit(goes_on.wait, 5)
    refused = no_thread(monkeypatch, "tests")
    second = threads.submit(int, "2")
    assert refused
    goes_on.set()
    assert (first.result(60), second.result(60)) == (True, 2)
    threads.shutdown()


@pytest.mark.parametrize("name", ["decode", "dream", "finish"])
def test_a_picture_that_no_thread_is_there_for_is_dreamt_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    refused = no_thread(monkeypatch, f"{name}-")
    settings = make_settings(tmp_path, max_attempts=1)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        wait_until(lambda: bool(refused))
        running.wait_for(done=1, failed=0)
    assert len(outputs(tmp_path / "out")) == 1

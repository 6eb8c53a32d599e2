"""The keeper of the worker goes on whatever fails around it, and whoever waits for a worker never waits for ever."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deepdream_daemon.worker import keeper, lane, spawned
from deepdream_daemon.worker.child import Child
from deepdream_daemon.worker.died import WorkerDied
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.workshop import Workshop
from tests.daemon.stub import make_settings, recipe_book, wait_until
from tests.daemon.worker_stub import workshop

NO_THREAD = "can't start new thread"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    made = workshop(make_settings(tmp_path))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "delay_seconds", lambda _: 0.1)


def prepare(shop: Workshop, text: str) -> object:
    return shop.prepare(b"PICTURE " + text.encode(), recipe_book().resolve("classic"), 1, {})


def no_thread(monkeypatch: pytest.MonkeyPatch, name: str, times: int = 1) -> None:
    """Have the system refuse to start the next threads of that name."""
    start, left = threading.Thread.start, [times]

    def refused(self: threading.Thread) -> None:
        if self.name == name and left[0]:
            left[0] -= 1
            raise RuntimeError(NO_THREAD)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refused)


def garbled(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], Any]) -> None:
    """Have the keeper hear ``spoil(message)`` instead of each message, from now on."""
    receive = Lane.receive

    def heard(self: Lane, seconds: float | None = None) -> tuple[Any, list[int]]:
        message, numbers = receive(self, seconds)
        return (spoil(message) if threading.current_thread().name == "worker's keeper" else message), numbers

    monkeypatch.setattr(Lane, "receive", heard)


def test_a_worker_that_no_thread_can_be_started_for_is_ended_and_tried_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_thread(monkeypatch, "worker's words")
    assert not shop.check(60)
    assert NO_THREAD in str(shop.troubles())
    wait_until(lambda: shop.is_ready, 60, shop.troubles)
    workers = [each for each in psutil.Process().children() if "worker.process" in " ".join(each.cmdline())]
    assert [each.pid for each in workers] == [shop.pid]
    assert prepare(shop, "sky")


def test_a_keeper_that_could_not_be_started_is_started_by_the_next_who_asks(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_thread(monkeypatch, "worker's keeper")
    with pytest.raises(OSError, match="no thread"):  # which passes, so it costs no picture an attempt
        shop.start()
    assert prepare(shop, "sky")


def test_a_worker_that_says_what_nobody_understands_is_replaced(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.check(60)
    before = shop.pid
    with monkeypatch.context() as patch:
        garbled(patch, lambda _: {"nothing": "that is known"})
        wait_until(lambda: "KeyError" in str(shop.troubles()))
    wait_until(lambda: shop.is_ready and shop.pid != before, 60, shop.troubles)
    assert prepare(shop, "sky")


def test_a_worker_that_introduces_itself_with_nonsense_is_tried_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        garbled(patch, lambda _: None)
        assert not shop.check(60)
        assert "TypeError" in str(shop.troubles())
    wait_until(lambda: shop.is_ready, 60, shop.troubles)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_keeper_that_has_ended_is_missed(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_: object) -> None:
        raise SystemExit  # what nothing here catches

    assert shop.check(60)
    with monkeypatch.context() as patch:
        garbled(patch, end)
        thread = shop._keeper._thread
        assert thread is not None
        thread.join(60)
    before = shop.beat
    time.sleep(0.05)
    assert shop.beat == before
    assert prepare(shop, "sky")  # and whoever needs a worker has another keeper
    assert shop.beat > before
    assert time.monotonic() - shop.beat < 5


def test_a_worker_that_cannot_be_killed_holds_nobody_up(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that hangs in a driver."""
    wait, is_waited_for, is_free = subprocess.Popen.wait, threading.Event(), threading.Event()

    def never(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is None:
            raise AssertionError("it is waited for without a limit")
        if threading.current_thread() is not threading.main_thread():
            is_waited_for.set()
            assert is_free.wait(30), "the lock is held meanwhile"
        raise subprocess.TimeoutExpired(self.args, timeout)

    assert shop.check(60)
    caught: list[BaseException] = []

    def hang() -> None:
        try:
            prepare(shop, "prepare-hang")
        except WorkerDied as error:
            caught.append(error)

    hanging = [threading.Thread(target=hang) for _ in range(2)]
    for thread in hanging:
        thread.start()
    wait_until(lambda: kept(shop)._inside == 2)
    monkeypatch.setattr(spawned, "END_SECONDS", 0.2)
    held, process = kept(shop), kept(shop)._process._process
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "wait", never)
        begun = time.monotonic()
        held.kill("made no progress")
        assert is_waited_for.wait(60)
        with held.lane("dream"):  # needs the lock that nobody may hold meanwhile
            assert time.monotonic() - begun < 0.4
            is_free.set()
        for thread in hanging:
            thread.join(10)
            assert not thread.is_alive()
        assert time.monotonic() - begun < 5
    assert len(caught) == 2
    wait(process, 10)


def test_there_is_another_worker_though_the_one_that_hangs_cannot_be_ended(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.check(60)
    monkeypatch.setattr(spawned, "END_SECONDS", 0.2)
    monkeypatch.setattr(keeper, "LISTEN_SECONDS", 0.1)
    monkeypatch.setattr(Workshop, "_limit", lambda *_: 0.5)
    hanging, process = psutil.Process(shop.pid), kept(shop)._process._process
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "send_signal", lambda *_: None)  # nor does "kill" without it
        hanging.suspend()
        with pytest.raises(WorkerDied, match="cannot be ended"):
            prepare(shop, "sky")
        wait_until(lambda: shop.is_ready and shop.pid != hanging.pid, what=shop.troubles)
    hanging.kill()
    process.wait(60)
    monkeypatch.setattr(Workshop, "_limit", lambda *_: 30.0)
    assert prepare(shop, "sky")


def test_a_worker_that_only_writes_to_the_log_gives_no_sign_of_life(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "ANSWER_SECONDS", 1.0)
    assert shop.check(60)
    before = shop.pid
    said = {"log": {"name": "tests", "level": 10, "text": "still at it", "said": {}}}
    with monkeypatch.context() as patch:
        garbled(patch, lambda message: said if "busy" in message else message)
        wait_until(lambda: "no sign of life" in (shop.last_death or ""))
    wait_until(lambda: shop.is_ready and shop.pid != before, 60, shop.troubles)


def test_a_worker_that_hangs_within_a_message_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "REST_SECONDS", 0.2)
    ours, theirs = Lane.pair()
    for begun in (b"\0\0", lane._HEADER.pack(100, 0) + b"half"):
        theirs.sendall(begun)
        since = time.monotonic()
        with pytest.raises(LaneClosed):
            ours.receive(5.0)
        assert time.monotonic() - since < 2
        ours.close()
        theirs.close()
        ours, theirs = Lane.pair()
    ours.close()
    theirs.close()


def kept(shop: Workshop) -> Child:
    found = shop._keeper.child
    assert found is not None
    return found

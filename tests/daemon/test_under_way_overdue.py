"""``[pictures] job_seconds``: what takes too long is given up once, with all that it has, and never half."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepdream_daemon.configuration.settings import FolderSettings, PictureSettings
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import outcomes, pipeline, task
from deepdream_daemon.pipeline.line import Line
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.under_way import UnderWay
from deepdream_daemon.publishing import publish
from tests.daemon.stub import (
    Running,
    StubRenderer,
    drop,
    is_whole_dream,
    jobs_of,
    make_settings,
    outputs,
    temps,
    wait_until,
)

LIMIT_SECONDS = 600.0
LIMITED = PictureSettings(job_seconds=LIMIT_SECONDS)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often whether something has taken too long."""
    for name in ("IDLE_SECONDS", "MEND_SECONDS"):
        monkeypatch.setattr(pipeline, name, 0.02)


class Work:
    """As if ``seconds`` more had been worked at what is under way; no machine is so slow that its own would count."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + self.seconds))

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        time.sleep(0.2)  # in which what has taken too long is noticed


@pytest.mark.parametrize("moment", ["before_prepare", "before_finish"])
def test_the_room_of_a_picture_that_is_given_up_is_free_once_and_not_before_nobody_works_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr("deepdream_daemon.running.daemon.default_room", lambda: Room(10.0))
    work, renderer, goes_on = Work(monkeypatch), StubRenderer(), threading.Event()
    lock, held, most = threading.Lock(), 0, 0

    def hold(text: bytes) -> None:
        if b"hangs" in text:
            work.add(LIMIT_SECONDS + 1)
            goes_on.wait(60)

    def dreaming(_: bytes) -> None:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        time.sleep(0.05)
        with lock:
            held -= 1

    setattr(renderer, moment, hold)
    settings = make_settings(tmp_path, pictures=LIMITED)
    drop(tmp_path / "in" / "1.jpg", "hangs megapixels=6")
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
        drop(tmp_path / "in" / "2.jpg", "megapixels=6")
        wait_until(lambda: any(each.stage == "waiting for memory" for each in running.daemon.snapshot().active))
        time.sleep(0.1)
        assert running.counts()["done"] == 0, "what hangs is still in memory"
        goes_on.set()
        running.wait_for(done=1)
        before = renderer.before_prepare
        renderer.before_prepare = lambda data: (before(data), dreaming(data))[0]
        for number in range(3, 7):
            drop(tmp_path / "in" / f"{number}.jpg", f"{number} megapixels=6")
        running.wait_for(done=5)
    assert most == 1, "each fills the room"


def test_what_is_being_published_is_not_given_up_and_becomes_visible_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on, second = threading.Event(), threading.Event(), threading.Event()
    publisher: list[int] = []
    work = Work(monkeypatch)

    def hit(name: str) -> None:
        me = threading.get_ident()
        if name == "publish.announced" and not publisher:
            publisher.append(me)
            hangs.set()
            work.add(LIMIT_SECONDS + 1)
            goes_on.wait(60)
        elif name == "publish.linked" and me in publisher:
            second.set()
        elif name == "publish.linked":  # somebody else has published it: now the publisher itself goes on
            goes_on.set()
            second.wait(2)

    settings = make_settings(tmp_path, pictures=LIMITED)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "hit", hit)
        with Running(settings) as running:
            assert hangs.wait(60)
            wait_until(lambda: "has not ended" in (running.daemon.snapshot().degraded or "") or goes_on.is_set())
            assert not goes_on.is_set(), "nobody else publishes it"
            goes_on.set()
            running.wait_for(done=1, failed=0)
            wait_until(lambda: running.daemon.snapshot().degraded is None)
    (dream,) = outputs(tmp_path / "out")
    assert is_whole_dream(dream)
    assert temps(tmp_path / "out") == []
    (job,) = jobs_of(tmp_path, photo)
    assert (job.state, job.output) == ("done", dream)


def test_a_dream_that_was_given_up_is_not_published_by_who_still_works_at_it_though_it_was_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, renderer = Work(monkeypatch), StubRenderer()
    is_dreamt_again, is_linked_late, is_linked = (threading.Event() for _ in range(3))
    late: list[int] = []

    def hold(_: bytes) -> None:
        if not late:
            late.append(threading.get_ident())
            work.add(LIMIT_SECONDS + 1)
            is_dreamt_again.wait(60)

    def hit(name: str) -> None:
        if name == "publish.linked" and threading.get_ident() in late:
            is_linked_late.set()
            is_linked.wait(0.5)
        elif name == "publish.linked":
            is_linked.set()

    def dream_again(_: bytes) -> None:  # it is running again, so that the journal would let the former one announce it
        is_dreamt_again.set()
        is_linked_late.wait(0.2)

    renderer.before_finish = hold
    settings = make_settings(tmp_path, pictures=LIMITED)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with monkeypatch.context() as patch, Running(settings, renderer) as running:
        patch.setattr(publish, "hit", hit)
        running.wait_for(failed=1)
        renderer.before_dream = dream_again
        _retry(settings.state, photo)
        running.wait_for(done=1, failed=0)
        wait_until(lambda: temps(tmp_path / "out") == [])
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic.jpg"]


def test_all_tries_of_a_job_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "delay_seconds", lambda _: 0.05)
    work, is_given_up, renderer = Work(monkeypatch), threading.Event(), StubRenderer()
    tries: list[bytes] = []

    def fail(text: bytes) -> None:
        tries.append(text)
        work.add(250)
        if work.seconds > LIMIT_SECONDS:
            is_given_up.wait(60)
        raise RuntimeError("a fault in a filter")

    renderer.before_finish = fail
    settings = make_settings(tmp_path, pictures=LIMITED, max_attempts=9)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(failed=1)
        is_given_up.set()
        (job,) = jobs_of(tmp_path, photo)
        assert len(tries) == 3
        assert "the limit is 600 s ([pictures] job_seconds)" in (job.error or "")
        renderer.before_finish = lambda _: work.add(250)
        _retry(settings.state, photo)  # which begins at nothing
        running.wait_for(done=1, failed=0)


def test_work_that_was_lost_with_a_neighbour_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run ends for one picture alone; those that were in flight with it begin again."""
    work, renderer, goes_on = Work(monkeypatch), StubRenderer(), threading.Event()

    def dreams(text: bytes) -> None:
        if text == b"sky":
            goes_on.wait(60)
        elif text == b"sea":  # its turn comes only when it has begun again
            work.add(500)

    renderer.before_dream = dreams
    settings = make_settings(tmp_path, pictures=LIMITED)
    drop(tmp_path / "in" / "0.jpg", "sky")
    drop(tmp_path / "in" / "1.jpg", "slow")
    with Running(settings, renderer) as running:

        def dreaming() -> list[str]:
            return sorted(each.path.stem for each in running.daemon.snapshot().active if each.stage == "dreaming")

        wait_until(lambda: dreaming() == ["0", "1"])
        work.add(500)
        drop(tmp_path / "in" / "2.jpg", "sea")  # in flight as soon as the first is done
        wait_until(lambda: renderer.prepared == 3)
        goes_on.set()
        wait_until(lambda: dreaming() == ["1", "2"])
        work.add(150)
        running.wait_for(failed=1, done=2)
    assert renderer.prepared == 4


def test_tries_that_are_not_the_pictures_fault_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "delay_seconds", lambda _: 0.05)
    work, renderer = Work(monkeypatch), StubRenderer()
    tries: list[bytes] = []

    def fail(text: bytes) -> None:
        work.add(250)
        tries.append(text)
        if len(tries) < 6:
            raise MemoryError

    renderer.before_finish = fail
    settings = make_settings(tmp_path, pictures=LIMITED, max_attempts=1)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer) as running:
        running.wait_for(done=1)
    assert len(tries) == 6


def test_who_is_given_up_waits_for_no_other_turn() -> None:
    under_way = UnderWay(Room(10))
    line = Line(under_way, lambda *_: None)
    folder = FolderSettings(input=Path("/in"), output=Path("/out"))
    first, second = (
        under_way.add(
            Claim(
                id=number,
                key=str(number),
                source=Path(f"/in/{number}.jpg"),
                folder=Path("/in"),
                sha256="",
                recipe="classic",
                attempts=0,
                delays=0,
            ),
            folder,
        )
        for number in (1, 2)
    )
    line.add(first)
    line.add(second)
    line.leave_out(first)
    assert len(line) == 1
    assert line.take() is second


def _retry(state: Path, photo: Path) -> None:
    journal = Journal.open(state)
    assert journal.retry(photo) == 1
    journal.close()

"""A disk that hangs holds up the copies of its own folder, and of no other; what hangs is told of, with what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepdream_daemon.commands import standing
from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal import copier, copy_lanes, lanes
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import copy_key
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from tests.daemon.copies import hurry, names
from tests.daemon.stub import Running, make_settings, outputs, recipe_book, temps, wait_until

__all__ = ["hurry"]  # a fixture that holds for every test here


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have so many seconds pass for who looks whether something hangs."""
    now = [1000.0]
    monkeypatch.setattr(lanes, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


class Hanging:
    """Each file of this name hangs as soon as its copying has begun, until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.begun: list[Path] = []
        self._goes_on = threading.Event()
        real = copier.opened

        @contextmanager
        def opened(path: Path, root: Path) -> Iterator[Any]:
            if path.name == name:
                self.begun.append(path)
                assert self._goes_on.wait(60)
            with real(path, root) as file:
                yield file

        monkeypatch.setattr(copier, "opened", opened)

    def release(self) -> None:
        self._goes_on.set()


def settings_of(root: Path, *names: str, **changes: Any) -> Settings:
    made = []
    for name in names:
        for place in (root / name, root / f"{name}-out"):
            place.mkdir(exist_ok=True)
        made.append(FolderSettings(input=root / name, output=root / f"{name}-out", copy_through=True))
    return make_settings(root, folders=tuple(made), **changes)


def queue(journal: Journal, *paths: Path) -> None:
    """Have files queued to be copied, as the intake does."""
    for path in paths:
        path.write_text(path.name)
        seen = fingerprint(path)
        job = NewJob(key=copy_key(path, seen), folder=path.parent, sha256="", recipe=COPIED, seed=0)
        journal.record([Taken(path=path, fingerprint=seen, job=job)])


def ask(path: Path, settings: Settings) -> Explanation:
    journal = Journal.open(settings.state, read_only=True)
    try:
        return explain(path, settings, recipe_book(), journal)
    finally:
        journal.close()


def told_by_status(settings: Settings) -> dict[str, str]:
    journal = Journal.open(settings.state, read_only=True)
    try:
        return dict(standing.look(journal, settings, 1).troubles)
    finally:
        journal.close()


def test_a_copy_that_hangs_holds_up_its_own_folder_alone_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    settings, hanging = settings_of(tmp_path, "slow", "quick"), Hanging(monkeypatch, "stuck.txt")
    stuck, behind = tmp_path / "slow" / "stuck.txt", tmp_path / "slow" / "behind.txt"
    with Running(settings) as running:
        stuck.write_text("stuck")
        wait_until(lambda: hanging.begun == [stuck])
        behind.write_text("behind")
        (tmp_path / "quick" / "note.txt").write_text("quick")
        running.wait_for(done=1, running=1, queued=1)
        wait_until(lambda: names(tmp_path / "quick-out") == ["note.txt"])  # the temp file goes last
        assert running.daemon.snapshot().degraded is None  # it may only be slow
        clock(61.0)
        what = f"copying {str(stuck)!r} has made no progress since"
        wait_until(lambda: what in (running.daemon.snapshot().degraded or ""))
        wait_until(lambda: what in ask(behind, settings).reason)
        advice = ask(behind, settings).advice or ""
        assert f"disks of {str(tmp_path / 'slow')!r} and {str(tmp_path / 'slow-out')!r}" in advice
        assert ask(stuck, settings).reason.startswith(f"it is being copied; {what}")
        assert ask(stuck, settings).advice == advice
        assert [how for told, how in told_by_status(settings).items() if what in told] == [advice]
        hanging.release()
        running.wait_for(done=3)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
        wait_until(lambda: told_by_status(settings) == {})
        wait_until(lambda: names(tmp_path / "slow-out") == ["behind.txt", "stuck.txt"])


def test_a_copy_that_makes_progress_is_not_told_of_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    reached, goes_on = threading.Semaphore(0), threading.Semaphore(0)
    real = copier.read_through

    def read(file: Any, path: Path, each: Callable[[bytes], object]) -> Any:
        def slowly(chunk: bytes) -> None:
            each(chunk)
            reached.release()
            assert goes_on.acquire(timeout=60)

        return real(file, path, slowly)

    monkeypatch.setattr(copier, "read_through", read)
    (settings_of(tmp_path, "in").folders[0].input / "long.bin").write_bytes(bytes(3 << 20))
    with Running(settings_of(tmp_path, "in")) as running:
        for part in range(3):
            assert reached.acquire(timeout=60)
            clock(40.0)
            assert running.daemon.snapshot().degraded is None, part
            goes_on.release()
        running.wait_for(done=1)


def test_what_hangs_of_a_former_configuration_holds_up_its_own_folder_alone_and_is_concluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    settings, hanging = settings_of(tmp_path, "slow", "gone", "quick"), Hanging(monkeypatch, "stuck.txt")
    journal, stops = Journal.open(settings.state), [threading.Event() for _ in range(3)]
    without = replace(settings, folders=(settings.folders[0], settings.folders[2]))
    made = [
        Disposer(each, journal, Roots(folder.input for folder in each.folders), stop, token=f"{journal.instance}-1")
        for each, stop in zip((settings, without, without), stops, strict=True)
    ]
    stuck = [tmp_path / name / "stuck.txt" for name in ("slow", "gone")]
    try:
        queue(journal, *stuck)
        made[0].start()
        wait_until(lambda: sorted(hanging.begun) == sorted(stuck))
        for former, after, name in ((0, 1, "one.txt"), (1, 2, "two.txt")):
            stops[former].set()
            made[former].wake()
            made[after].start(after=made[former])
            queue(journal, tmp_path / "slow" / name, tmp_path / "quick" / name)
            wait_until(lambda name=name: (tmp_path / "quick-out" / name).exists())  # type: ignore[misc]
        assert names(tmp_path / "slow-out") == []
        clock(61.0)
        told = made[2].troubles()
        assert all(any(f"copying {str(path)!r} has made no progress" in trouble for trouble in told) for path in stuck)
        hanging.release()
        wait_until(lambda: journal.counts()["running"] == 0)
        wait_until(lambda: len(outputs(tmp_path / "slow-out")) == 3)
        wait_until(lambda: made[2].troubles() == [])
    finally:
        hanging.release()
        for each, stop in zip(made, stops, strict=True):
            stop.set()
            each.join(60)
            assert not each.is_alive
        counts = journal.counts()
        journal.close()
    assert (counts["done"], counts["queued"]) == (5, 1)  # of a folder that is not watched any more nothing is begun
    assert hanging.begun.count(stuck[1]) == 1
    assert temps(tmp_path / "gone-out") == []


def test_a_copy_that_could_not_be_decided_is_though_its_folder_is_not_watched_any_more(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "gone", "in")
    journal, stops = Journal.open(settings.state), [threading.Event(), threading.Event()]
    first, second = (
        Disposer(each, journal, Roots(folder.input for folder in each.folders), stop, token=f"{journal.instance}-1")
        for each, stop in zip((settings, replace(settings, folders=settings.folders[1:])), stops, strict=True)
    )
    real, out, away = journal.finish, tmp_path / "gone-out", tmp_path / "away"

    def finish(job: int, seconds: float | None) -> None:
        journal.finish = real  # type: ignore[method-assign]
        out.rename(away)
        raise OSError(5, "Input/output error")

    journal.finish = finish  # type: ignore[method-assign]
    try:
        queue(journal, tmp_path / "gone" / "note.txt")
        first.start()
        wait_until(lambda: first.troubles() != [])
        stops[0].set()
        second.start(after=first)
        wait_until(lambda: second.troubles() != [])
        away.rename(out)
        wait_until(lambda: journal.counts()["done"] == 1)
    finally:
        for each, stop in zip((first, second), stops, strict=True):
            stop.set()
            each.join(60)
            assert not each.is_alive
        journal.close()
    assert names(out) == ["note.txt"]


def test_a_folder_with_much_to_be_copied_gives_way_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(copy_lanes, "SLICE_SECONDS", 0.0)
    settings, stop, order = settings_of(tmp_path, "first", "second"), threading.Event(), list[str]()
    journal = Journal.open(settings.state)
    queue(journal, *(folder.input / f"{number}.txt" for folder in settings.folders for number in range(4)))
    real = journal.finish

    def finish(job: int, seconds: float | None) -> None:
        real(job, seconds)
        order.extend(record.folder.name for record in journal.recent("done", 1))

    journal.finish = finish  # type: ignore[method-assign]
    disposer = Disposer(settings, journal, Roots(folder.input for folder in settings.folders), stop, token="1-1")
    try:
        disposer.start()
        wait_until(lambda: len(order) == 8)
    finally:
        stop.set()
        disposer.join(60)
        journal.close()
    assert set(order[:2]) == set(order[2:4]) == {"first", "second"}, order

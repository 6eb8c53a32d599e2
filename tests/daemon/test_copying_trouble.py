"""Copying through goes on whatever fails: no job stays claimed, no other file waits, nothing is copied twice."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.disposal import copier
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import Journal
from tests.daemon.copies import and_then, at, copying_settings, hurry, names, queue_copy, write_note
from tests.daemon.stub import Running, jobs_of, outputs, temps, wait_until

__all__ = ["hurry"]  # a fixture that holds for every test here


def test_a_link_in_the_output_fails_what_would_lead_through_it_alone(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere")
    bad, good = write_note(tmp_path, "deep/a.txt"), write_note(tmp_path, "b.txt")
    with Running(settings) as running:
        running.wait_for(done=1, failed=1, running=0)
    [job], [other] = jobs_of(tmp_path, bad), jobs_of(tmp_path, good)
    assert (job.state, other.state) == ("failed", "done")
    assert "is a symbolic link" in (job.error or "")
    assert f"deepdream retry {bad}" in (job.advice or "")
    assert outputs(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    "operations", [("announce",), ("finish",), ("copies_of", "announced"), ("copies_of", "put_off")]
)
def test_a_journal_that_fails_for_a_moment_leaves_no_copy_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operations: tuple[str, ...]
) -> None:
    settings = copying_settings(tmp_path)
    failures = dict.fromkeys(operations, 2)

    def failing(operation: str) -> Callable[..., Any]:
        real = getattr(Journal, operation)

        def fail(*args: Any, **options: Any) -> Any:
            if failures[operation] > 0:
                failures[operation] -= 1
                raise sqlite3.OperationalError("database or disk is full")
            return real(*args, **options)

        return fail

    for operation in operations:
        monkeypatch.setattr(Journal, operation, failing(operation))
    notes = [write_note(tmp_path, f"{number}.txt") for number in range(3)]
    with Running(settings) as running:
        running.wait_for(done=3, running=0, publishing=0)
    assert set(failures.values()) == {0}
    assert names(tmp_path / "out") == ["0.txt", "1.txt", "2.txt"]
    assert all(job.attempts == 0 for note in notes for job in jobs_of(tmp_path, note))
    assert temps(tmp_path / "out") == []


def test_what_nobody_expects_of_one_file_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    bad = write_note(tmp_path, "bad.txt")
    write_note(tmp_path, "good.txt")
    real = copier.opened

    def strange(path: Path, root: Path) -> Any:
        if path == bad:
            raise RuntimeError("nobody expects this")
        return real(path, root)

    monkeypatch.setattr(copier, "opened", strange)
    with Running(settings) as running:
        running.wait_for(done=1, failed=1)
    [job] = jobs_of(tmp_path, bad)
    assert (job.attempts, "nobody expects this" in (job.error or "")) == (3, True)


def test_a_file_that_cannot_be_read_to_its_end_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    bad, real = write_note(tmp_path, "bad.txt"), copier.opened

    class Damaged(FileIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    @contextmanager
    def opened(path: Path, root: Path) -> Iterator[FileIO]:
        with real(path, root) as file, Damaged(path) as damaged:
            yield damaged if path == bad else file

    monkeypatch.setattr(copier, "opened", opened)
    with Running(settings) as running:
        wait_until(lambda: any("Input/output error" in (job.error or "") for job in jobs_of(tmp_path, bad)))
        write_note(tmp_path, "good.txt")
        running.wait_for(done=1)
        assert running.daemon.snapshot().degraded is None  # nothing is wrong with the output
        [job] = jobs_of(tmp_path, bad)
        assert (job.error, job.attempts) == (f"Input/output error: {str(bad)!r}", 0)


def test_a_file_whose_folder_has_become_a_link_is_gone(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    note, elsewhere = queue_copy(settings, write_note(tmp_path, "deep/note.txt")), tmp_path / "elsewhere"
    note.parent.rename(elsewhere)
    note.parent.symlink_to(elsewhere)
    with Running(settings) as running:
        running.wait_for(vanished=1)
        assert running.daemon.snapshot().degraded is None
    assert names(tmp_path / "out") == []


def test_a_file_that_grows_faster_than_it_is_read_is_not_copied_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    log = write_note(tmp_path, "log.txt", "line\n")
    real, written = copier.read_through, []

    def read(file: Any, path: Path, each: Any) -> Any:
        def grows(chunk: bytes) -> None:
            each(chunk)
            written.append(True)
            if len(written) <= 50:
                with log.open("a") as more:
                    more.write("line\n")

        return real(file, path, grows)

    monkeypatch.setattr(copier, "read_through", read)
    settled = threading.Event()
    monkeypatch.setattr(Journal, "withdraw", and_then(Journal.withdraw, settled.set))
    with Running(settings) as running:
        assert settled.wait(60)
        assert len(written) < 5  # and not fifty
        written += [True] * 50
        running.wait_for(done=1)
    assert (tmp_path / "out" / "log.txt").read_bytes() == log.read_bytes()


def test_a_temp_file_is_removed_where_it_was_made_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    elsewhere, deep = tmp_path / "elsewhere", tmp_path / "out" / "deep"
    elsewhere.mkdir()
    swapped: list[str] = []

    def swap() -> None:
        if not swapped:
            swapped.extend(temps(tmp_path / "out"))
            (elsewhere / swapped[0]).write_text("precious")
            deep.rename(tmp_path / "out" / "was")
            deep.symlink_to(elsewhere)
            note.write_text("changed")

    monkeypatch.setattr(copier, "hit", at("copy.staged", swap))
    note = write_note(tmp_path, "deep/a.txt")
    with Running(settings) as running:
        running.wait_for(failed=1)
    assert (elsewhere / swapped[0]).read_text() == "precious"


def test_copies_that_could_not_be_decided_are_when_the_configuration_has_changed(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    queue_copy(settings, write_note(tmp_path, "note.txt"))
    journal = Journal.open(settings.state)
    first, second = (_disposer(settings, journal) for _ in range(2))
    real, away = journal.finish, tmp_path / "away"

    def finish(job: int, seconds: float | None) -> None:
        (tmp_path / "out").rename(away)
        journal.finish = real  # type: ignore[method-assign]
        raise OSError(5, "Input/output error")

    journal.finish = finish  # type: ignore[method-assign]
    try:
        first.start()
        wait_until(away.exists)
        time.sleep(0.1)  # it cannot be told what became of it
        first.stop()
        second.disposer.start(after=first.disposer)
        away.rename(tmp_path / "out")
        wait_until(lambda: journal.counts()["done"] == 1)
    finally:
        first.stop()
        second.stop()
        journal.close()
    assert names(tmp_path / "out") == ["note.txt"]
    assert temps(tmp_path / "out") == []


def test_what_the_journal_could_not_be_told_is_told_when_the_configuration_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    queue_copy(settings, write_note(tmp_path, "note.txt"))
    journal = Journal.open(settings.state)
    first, second = (_disposer(settings, journal) for _ in range(2))
    real, real_put_back, begun = copier.read_through, journal.put_back, threading.Event()

    def read(file: Any, path: Path, each: Any) -> Any:
        begun.set()
        first.stopping.wait(60)
        return real(file, path, each)

    def put_back(jobs: Sequence[int], why: str) -> None:
        journal.put_back = real_put_back  # type: ignore[method-assign]
        raise sqlite3.OperationalError("database is locked")

    journal.put_back = put_back  # type: ignore[method-assign]
    monkeypatch.setattr(copier, "read_through", read)
    try:
        first.start()
        assert begun.wait(60)
        first.stop()
        assert journal.counts()["running"] == 1
        second.disposer.start(after=first.disposer)
        wait_until(lambda: journal.counts()["done"] == 1)
    finally:
        first.stop()
        second.stop()
        journal.close()
    assert names(tmp_path / "out") == ["note.txt"]


def test_nothing_is_copied_beneath_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    write_note(tmp_path, "first.txt")
    out, disk = tmp_path / "out", tmp_path / "disk"
    with Running(settings) as running:
        running.wait_for(done=1)
        out.rename(disk)
        out.mkdir()  # as it is when a disk is not mounted
        note = write_note(tmp_path, "second.txt")
        wait_until(lambda: "it is another folder than before" in (running.daemon.snapshot().degraded or ""))
        assert (names(out), jobs_of(tmp_path, note)[0].attempts) == ([], 0)
        out.rmdir()
        disk.rename(out)
        running.wait_for(done=2)
        wait_until(lambda: names(out) == ["first.txt", "second.txt"])  # the temp file goes last


def test_what_kept_files_from_being_copied_is_told_no_longer_when_none_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Running(copying_settings(tmp_path)) as running:
        (out / "deep").write_text("a file, where a folder belongs")
        note = write_note(tmp_path, "deep/note.txt")
        wait_until(lambda: "copying from" in (running.daemon.snapshot().degraded or ""))
        note.unlink()
        running.wait_for(vanished=1)
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_a_copy_that_cannot_be_decided_keeps_no_other_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = copying_settings(tmp_path)
    deep = tmp_path / "out" / "deep"
    real, failed = Journal.finish, threading.Event()

    def finish(journal: Journal, job: int, seconds: float | None) -> None:
        if not failed.is_set():
            failed.set()
            deep.rename(tmp_path / "was")
            deep.symlink_to(tmp_path / "was")  # now nothing may be done below it
            raise OSError(5, "Input/output error")
        real(journal, job, seconds)

    monkeypatch.setattr(Journal, "finish", finish)
    write_note(tmp_path, "deep/a.txt")
    with Running(settings) as running:
        running.wait_for(publishing=1)
        write_note(tmp_path, "b.txt")
        running.wait_for(done=1, publishing=1)
        wait_until(lambda: "deep/a.txt" in (running.daemon.snapshot().degraded or ""))
        deep.unlink()
        (tmp_path / "was").rename(deep)
        running.wait_for(done=2, publishing=0)
    assert names(tmp_path / "out") == ["b.txt", "deep/a.txt"]


class _disposer:  # reads like a function
    """A disposer beside no pipeline, and the means to stop it."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.stopping = threading.Event()
        token = f"{journal.instance}-1"
        self.disposer = Disposer(settings, journal, Roots([settings.folders[0].input]), self.stopping, token=token)
        self.start = self.disposer.start

    def stop(self) -> None:
        self.stopping.set()
        self.disposer.join(60)
        assert not self.disposer.is_alive

"""Files that are no pictures are copied into the output unchanged (``copy_through``): once, whole, under the rules of
their folder.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.disposal import copier
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import space
from deepdream_daemon.publishing.streaming import stage_stream
from tests.daemon.copies import Halt, at, copying_settings, hurry, names, queue_copy, write_note
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, temps, wait_until

__all__ = ["hurry"]  # a fixture that holds for every test here


def _verdict(root: Path, path: Path) -> str:
    journal = Journal.open(root / "state", read_only=True)
    try:
        found = journal.file(path)
        return "" if found is None else found.verdict
    finally:
        journal.close()


def test_what_is_no_picture_is_copied_and_only_that(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path, mode="640")
    folder = tmp_path / "in"
    (folder / "deep").mkdir()
    notes, video = folder / "deep" / "notes.txt", folder / "clip.mp4"
    notes.write_text("notes")
    video.write_bytes(os.urandom(3 << 20))
    os.utime(video, ns=(1, 2_000_000_000))
    (folder / "empty.md").touch()
    good = drop(folder / "good.jpg", "sky")
    good.with_name("good.jpg.toml").write_text("octaves = 2\n")
    drop(folder / "good.mask.png", "mask")
    (folder / "damaged.jpg").write_text("no picture at all")
    (folder / "secret.part").write_text("half a download")
    (folder / "link.txt").symlink_to(notes)
    renderer = StubRenderer()
    with Running(settings, renderer) as running:
        running.wait_for(done=4, failed=1)
    assert names(tmp_path / "out") == ["clip.mp4", "deep/notes.txt", "empty.md", "good.classic.jpg"]
    copy = tmp_path / "out" / "clip.mp4"
    assert copy.read_bytes() == video.read_bytes()
    assert (copy.stat().st_mtime_ns, copy.stat().st_mode & 0o777) == (2_000_000_000, 0o640)
    assert temps(tmp_path / "out") == []
    [job] = jobs_of(tmp_path, video)
    assert (job.recipe, job.state, job.output) == (COPIED, "done", copy)


def test_a_file_is_copied_once_and_again_when_it_changes(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    notes = tmp_path / "in" / "notes.txt"
    notes.write_text("one")
    with Running(settings) as running:
        running.wait_for(done=1)
        notes.write_text("one")
        wait_until(lambda: "copied already" in _verdict(tmp_path, notes))
        notes.write_text("two")
        running.wait_for(done=2)
    assert names(tmp_path / "out") == ["notes-2.txt", "notes.txt"]
    assert (tmp_path / "out" / "notes.txt").read_text() == "one"
    assert (tmp_path / "out" / "notes-2.txt").read_text() == "two"


def test_a_file_that_is_written_to_while_it_is_queued_settles_again_before_it_is_copied(tmp_path: Path) -> None:
    settings = replace(copying_settings(tmp_path), settle_seconds=1.0)
    notes = tmp_path / "in" / "notes.txt"
    notes.write_text("whole")
    with Running(settings) as running:
        journal = Journal.open(settings.state)
        journal.pause()
        running.wait_for(queued=1)
        notes.write_text("half of ")
        journal.resume()
        journal.close()
        wait_until(lambda: running.daemon.snapshot().settling == 1)
        with notes.open("a") as file:
            file.write("another")
        running.wait_for(queued=0, done=1)
    assert [path.read_text() for path in outputs(tmp_path / "out")] == ["half of another"]


def test_a_copied_file_is_not_taken_for_a_dream_of_ours(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    (tmp_path / "in" / "notes.txt").write_text("notes")
    with Running(settings) as running:
        running.wait_for(done=1)
        (tmp_path / "in" / "more.txt").write_text("notes")
        running.wait_for(done=2)
    assert names(tmp_path / "out") == ["more.txt", "notes.txt"]


def test_what_failed_before_is_copied_when_that_is_asked_for(tmp_path: Path) -> None:
    notes = tmp_path / "in" / "notes.txt"
    settings = make_settings(tmp_path, max_attempts=1)
    notes.write_text("notes")
    with Running(settings) as running:
        running.wait_for(failed=1)
    with Running(copying_settings(tmp_path)) as running:
        running.wait_for(done=1, failed=0)
    assert names(tmp_path / "out") == ["notes.txt"]
    assert outputs(tmp_path / "state" / "quarantine") == []


def test_copying_waits_for_space_and_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0]
    monkeypatch.setattr(space, "free_bytes", lambda _: free[0])
    settings = copying_settings(tmp_path)
    for number in range(30):
        (tmp_path / "in" / f"{number}.txt").write_text(str(number))
    with Running(settings) as running:
        wait_until(lambda: "cannot be written to" in (running.daemon.snapshot().degraded or ""))
        assert names(tmp_path / "out") == []
        free[0] = 1 << 40
        running.wait_for(done=30)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert len(names(tmp_path / "out")) == 30
    assert all(
        job.attempts == 0 for number in range(30) for job in jobs_of(tmp_path, tmp_path / "in" / f"{number}.txt")
    )


def test_a_file_that_is_written_while_it_is_copied_settles_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path)
    log = tmp_path / "in" / "log.txt"
    log.write_text("one\n")
    written: list[bool] = []

    def stage(*args: Any, **options: Any) -> Any:
        staged = stage_stream(*args, **options)
        if not written:
            written.append(True)
            log.write_text("one\ntwo\n")
        return staged

    monkeypatch.setattr(copier, "stage_stream", stage)
    with Running(settings) as running:
        running.wait_for(done=1)
    assert names(tmp_path / "out") == ["log.txt"]
    assert (tmp_path / "out" / "log.txt").read_text() == "one\ntwo\n"
    assert temps(tmp_path / "out") == []


def test_a_file_that_may_not_be_read_fails_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = copying_settings(tmp_path)
    notes = tmp_path / "in" / "notes.txt"
    notes.write_text("notes")
    real = copier.opened

    def refuse(path: Path, root: Path) -> Any:
        if path == notes:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path, root)

    monkeypatch.setattr(copier, "opened", refuse)
    with Running(settings) as running:
        running.wait_for(failed=1)
    [job] = jobs_of(tmp_path, notes)
    assert "chmod" in (job.advice or "")
    assert len(outputs(tmp_path / "state" / "quarantine")) == 1


def test_the_end_of_the_daemon_does_not_wait_for_a_large_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = copying_settings(tmp_path)
    video = tmp_path / "in" / "clip.mp4"
    video.write_bytes(bytes(8 << 20))
    begun = threading.Event()
    real = copier.read_through

    def slow(file: Any, path: Path, each: Any) -> Any:
        def slowly(chunk: bytes) -> None:
            begun.set()
            time.sleep(0.3)
            each(chunk)

        return real(file, path, slowly)

    monkeypatch.setattr(copier, "read_through", slow)
    with Running(settings):
        assert begun.wait(60)
    assert temps(tmp_path / "out") == []
    [job] = jobs_of(tmp_path, video)
    assert job.state == "queued"
    monkeypatch.setattr(copier, "read_through", real)
    with Running(settings) as running:
        running.wait_for(done=1)
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == video.read_bytes()


# The rules of the folder


def test_a_name_that_is_taken_is_skipped_where_the_folder_says_so(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path, collision="skip")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    notes, other = write_note(tmp_path, "notes.txt"), write_note(tmp_path, "other.txt")
    with Running(settings) as running:
        running.wait_for(done=1, queued=0, running=0)
        wait_until(lambda: "already" in _verdict(tmp_path, notes))
    assert names(tmp_path / "out") == ["notes.txt", "other.txt"]
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (jobs_of(tmp_path, notes), len(jobs_of(tmp_path, other))) == ([], 1)


def test_a_name_that_is_taken_in_the_last_moment_is_skipped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copying_settings(tmp_path, collision="skip")
    notes = write_note(tmp_path, "notes.txt")
    monkeypatch.setattr(copier, "hit", at("copy.staged", lambda: (tmp_path / "out" / "notes.txt").write_text("mine")))
    with Running(settings) as running:
        wait_until(lambda: "already" in _verdict(tmp_path, notes))
        assert sum(running.counts().values()) == 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert names(tmp_path / "out") == ["notes.txt"]
    assert temps(tmp_path / "out") == []


def test_nothing_more_is_copied_once_the_daemon_is_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = copying_settings(tmp_path)
    begun = Halt(monkeypatch, "copy.staged")
    for number in range(5):
        write_note(tmp_path, f"{number}.txt")
    with Running(settings) as running:
        assert begun.wait()
        running.wait_for(queued=4, running=1)
        journal = Journal.open(tmp_path / "state")
        journal.pause()
        begun.release()
        running.wait_for(done=1, queued=4, running=0)
        time.sleep(0.3)  # longer than between two looks
        assert running.counts()["done"] == 1
        journal.resume()
        journal.close()
        running.wait_for(done=5)


def test_a_daemon_that_drains_copies_what_is_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = copying_settings(tmp_path)
    begun = Halt(monkeypatch, "copy.staged")
    for number in range(3):
        write_note(tmp_path, f"{number}.txt")
    with Running(settings) as running:
        assert begun.wait()
        running.wait_for(queued=2, running=1)
        journal = Journal.open(tmp_path / "state")
        journal.ask_drain()
        journal.close()
        late = write_note(tmp_path, "late.txt")
        begun.release()
        running.thread.join(60)
        assert not running.thread.is_alive()
    assert names(tmp_path / "out") == ["0.txt", "1.txt", "2.txt"]
    assert jobs_of(tmp_path, late) == []


def test_while_pictures_cannot_be_published_there_nothing_is_copied_either(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    write_note(tmp_path, "first.txt")
    with Running(settings) as running:
        running.wait_for(done=1)
        journal = Journal.open(tmp_path / "state")
        journal.hold(tmp_path / "in", tmp_path / "out", "the output folder is another one", "Mount it.")
        note = write_note(tmp_path, "note.txt")
        running.wait_for(queued=1)
        time.sleep(0.3)
        assert running.counts()["queued"] == 1
        journal.release(tmp_path / "in", tmp_path / "out")
        journal.close()
        running.wait_for(done=2)
    assert len(jobs_of(tmp_path, note)) == 1


def test_what_is_queued_is_not_copied_any_more_when_the_folder_copies_nothing(tmp_path: Path) -> None:
    queue_copy(copying_settings(tmp_path), write_note(tmp_path, "note.txt"))
    with Running(make_settings(tmp_path)) as running:
        running.wait_for(failed=1)  # as the picture that it has to be
    assert names(tmp_path / "out") == []

"""R21: ``explain`` says what a file waits for that is to be copied unchanged. What is about dreaming alone is none of
it; what keeps copies from being made is told of, also to another process.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_daemon.configuration.settings import PictureSettings, Settings
from deepdream_daemon.disposal import copying
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.hours import is_open
from deepdream_daemon.running.lock import LOCK_FILE
from tests.daemon.copies import copying_settings, hurry, queue_copy, write_note
from tests.daemon.stub import Running, StubRenderer, drop, make_settings, recipe_book, wait_until

__all__ = ["hurry"]  # a fixture that holds for every test here


def _ask(path: Path, settings: Settings, *, seems_to_run: bool = False) -> Explanation:
    settings.state.mkdir(exist_ok=True)
    journal = Journal.open(settings.state, read_only=True)
    try:
        if not seems_to_run:
            return explain(path, settings, recipe_book(), journal)
        with FileLock(settings.state / LOCK_FILE):
            return explain(path, settings, recipe_book(), journal)
    finally:
        journal.close()


def _retry(settings: Settings, path: Path) -> None:
    journal = Journal.open(settings.state)
    journal.retry(path)
    journal.close()


def _closed_hours() -> tuple[str, ...]:
    hour = time.localtime().tm_hour
    hours = (f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00",)
    assert not is_open(hours)
    return hours


def test_hours_and_max_at_once_are_about_dreams_alone(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path, hours=_closed_hours(), max_at_once=1)
    first = queue_copy(settings, write_note(tmp_path, "a.txt"))
    note = queue_copy(settings, write_note(tmp_path, "b.txt"))
    photo = drop(tmp_path / "in" / "c.jpg", "sky")
    journal = Journal.open(settings.state)
    job = NewJob(key="c", folder=photo.parent, sha256="c", recipe="classic", seed=0)
    journal.record([Taken(path=photo, fingerprint=fingerprint(photo), job=job)])
    journal.claim(1, [first.parent], copies=True)
    assert journal.at_work_in(first.parent) == 0
    journal.close()
    assert "waits for its turn, to be copied unchanged" in _ask(note, settings, seems_to_run=True).reason
    found = _ask(photo, settings, seems_to_run=True)
    assert "are dreamt from" in found.reason
    later = copying_settings(tmp_path, max_at_once=1)
    assert "waits for its turn" in _ask(photo, later, seems_to_run=True).reason  # nothing is dreamt, only copied


def test_a_copy_is_made_at_any_hour_while_pictures_wait(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path, hours=_closed_hours())
    note, photo = write_note(tmp_path, "a.txt"), drop(tmp_path / "in" / "b.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1, queued=1)
        assert _ask(note, settings).state == "done"
        assert _ask(photo, settings).state == "queued"


def test_a_pause_is_told_of_copies_too(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    note = queue_copy(settings, write_note(tmp_path, "a.txt"))
    journal = Journal.open(settings.state)
    journal.pause()
    journal.close()
    found = _ask(note, settings, seems_to_run=True)
    assert "the daemon was paused at" in found.reason
    assert found.advice == "Go on: deepdream resume."


def test_what_keeps_the_others_of_a_folder_from_being_copied_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "delay_seconds", lambda _: 30.0)
    settings = copying_settings(tmp_path)
    (tmp_path / "out" / "deep").write_text("in the way")  # no folder can be made there
    first = write_note(tmp_path, "deep/a.txt")
    with Running(settings) as running:
        running.wait_for(waiting=1)
        wait_until(lambda: "copying from" in (running.daemon.snapshot().degraded or ""))
        others = [write_note(tmp_path, f"{number}.txt") for number in range(3)]
        running.wait_for(queued=3)
        wait_until(lambda: "copied from its" in _ask(others[0], settings).reason)
        for note in others:
            found = _ask(note, settings)
            assert found.state == "queued"
            assert (
                f"nothing is copied from its folder at the moment: the output folder {str(tmp_path / 'out' / 'deep')!r}"
                in found.reason
            )
            assert "it goes on by itself" in (found.advice or "")
        assert "tried again in" in _ask(first, settings).reason
    with Running(settings) as running:  # what an earlier daemon met is no news
        running.wait_for(done=3)


def test_a_copy_that_failed_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere")
    note = write_note(tmp_path, "deep/a.txt")
    with Running(settings) as running:
        running.wait_for(failed=1)
        found = _ask(note, settings)
        assert (found.state, "is a symbolic link" in found.reason) == ("failed", True)
        assert found.advice == f"Then run: deepdream retry {note}"
        (tmp_path / "out" / "deep").unlink()
        _retry(settings, note)
        running.wait_for(done=1)
    found = _ask(note, settings)
    assert (found.state, found.output) == ("done", tmp_path / "out" / "deep" / "a.txt")
    assert [what for _, what in found.history][::3] == ["queued to be copied", "done"]


def test_a_copy_that_is_skipped_says_why_and_what_to_do(tmp_path: Path) -> None:
    settings = copying_settings(tmp_path, collision="skip")
    (tmp_path / "out" / "a.txt").write_text("mine")
    note = write_note(tmp_path, "a.txt")
    with Running(settings):
        wait_until(lambda: _ask(note, settings).state == "skipped")
        found = _ask(note, settings)
        assert "is there already" in found.reason
        assert "Move the file that has its name away, or change collision" in (found.advice or "")
        (tmp_path / "out" / "a.txt").unlink()
        _retry(settings, note)
        wait_until(lambda: _ask(note, settings).state == "done")


def test_a_picture_that_took_too_long_says_so_and_what_to_do(tmp_path: Path) -> None:
    settings = replace(make_settings(tmp_path), pictures=PictureSettings(job_seconds=0.3))
    photo = drop(tmp_path / "in" / "a.jpg", "slow")
    with Running(settings, StubRenderer()) as running:
        running.wait_for(failed=1)
    found = _ask(photo, settings)
    assert found.state == "failed"
    assert "the limit is 0.3 s ([pictures] job_seconds)" in found.reason
    assert "Raise [pictures] job_seconds" in (found.advice or "")
    assert f"deepdream retry {photo}" in (found.advice or "")

"""R14: an input deleted midway leaves no output, one record and no retry. R12 in part: a folder that is
away.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, temps, wait_until


@pytest.mark.parametrize("moment", ["before_prepare", "before_dream", "before_finish"])
def test_a_file_deleted_midway_has_vanished(tmp_path: Path, moment: str) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / "photo.jpg"
    passes = []

    def delete(data: bytes) -> None:
        if b"sky" in data:
            passes.append(data)
            photo.unlink(missing_ok=True)

    setattr(renderer, moment, delete)
    settings = make_settings(tmp_path)
    drop(photo, "sky")
    drop(tmp_path / "in" / "other.jpg", "bad")  # keeps the folder from being empty
    with Running(settings, renderer) as running:
        running.wait_for(vanished=1, queued=0, running=0)
        time.sleep(0.7)
        assert running.counts()["vanished"] == 1
        assert len(passes) == 1
    assert outputs(tmp_path / "out") == []
    assert temps(tmp_path / "out") == []


def test_a_file_that_comes_back_is_dreamt(tmp_path: Path) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / "photo.jpg"
    renderer.before_dream = lambda _: photo.unlink(missing_ok=True)
    settings = make_settings(tmp_path)
    drop(photo, "sky")
    with Running(settings, renderer) as running:
        running.wait_for(vanished=1)
        renderer.before_dream = lambda _: None
        drop(photo, "sky")
        running.wait_for(vanished=0, done=1)


def test_the_only_file_of_a_folder_may_vanish(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.3)
    photo = tmp_path / "in" / "photo.jpg"
    settings = make_settings(tmp_path)
    drop(photo, "sky")
    with Running(settings, renderer) as running:
        wait_until(lambda: bool(renderer.batches))
        photo.unlink()
        running.wait_for(vanished=1, done=0)


def test_a_folder_that_is_away_counts_nothing_as_deleted(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.2)
    settings = make_settings(tmp_path)
    folder, away = tmp_path / "in", tmp_path / "unmounted"
    for number in range(12):
        drop(folder / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: bool(renderer.batches))
        folder.rename(away)
        folder.mkdir()  # the empty place under a mount
        wait_until(lambda: "away" in (running.daemon.snapshot().degraded or ""), 5)
        time.sleep(1.0)
        assert running.counts()["vanished"] == 0
        folder.rmdir()
        away.rename(folder)
        running.wait_for(30, done=12, vanished=0)
        assert running.daemon.snapshot().degraded is None
        drop(folder / "new.jpg", "after the return")
        running.wait_for(done=13)
    assert len(outputs(tmp_path / "out")) == 13


def test_a_folder_that_is_made_anew_is_watched_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().settling == 0)
        (tmp_path / "in").rmdir()
        time.sleep(0.3)
        (tmp_path / "in").mkdir()
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(10, done=1)


def test_a_file_deleted_while_it_waits_in_the_queue_has_vanished(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.2)
    settings = make_settings(tmp_path)
    settings = replace(settings, folders=(replace(settings.folders[0], max_at_once=1),))
    photos = [drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}") for number in range(4)]
    with Running(settings, renderer) as running:
        running.wait_for(running=1, queued=3)
        for photo in photos:
            photo.unlink()
        drop(tmp_path / "in" / "other.jpg", "sky")
        running.wait_for(done=1, vanished=4, queued=0)
    assert len(outputs(tmp_path / "out")) == 1
    for photo in photos:
        [job] = jobs_of(tmp_path, photo)
        assert [what for _, what in job.history if what.startswith("vanished")] == [
            "vanished: the file was deleted or moved away before its dream was done"
        ]
        assert job.attempts == 0


def test_a_file_deleted_midway_is_not_looked_for_where_it_would_be_moved_to(tmp_path: Path) -> None:
    renderer = StubRenderer()
    photo = tmp_path / "in" / "photo.jpg"
    renderer.before_finish = lambda _: photo.unlink(missing_ok=True)
    settings = make_settings(tmp_path)
    (tmp_path / "processed").mkdir()
    folder = replace(settings.folders[0], source="move", processed=tmp_path / "processed")
    drop(photo, "sky")
    with Running(replace(settings, folders=(folder,)), renderer) as running:
        running.wait_for(vanished=1)
        assert running.daemon.snapshot().degraded is None
    assert outputs(tmp_path / "out") == outputs(tmp_path / "processed") == []


def test_a_file_that_is_no_picture_and_is_deleted_midway_has_vanished(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    notes = tmp_path / "in" / "notes.txt"
    notes.write_text("notes")
    journal = Journal.open(settings.state)
    journal.pause()
    with Running(replace(settings, folders=(replace(settings.folders[0], copy_through=True),))) as running:
        running.wait_for(queued=1)
        notes.unlink()
        journal.resume()
        running.wait_for(vanished=1, queued=0)
    journal.close()
    assert outputs(tmp_path / "out") == []

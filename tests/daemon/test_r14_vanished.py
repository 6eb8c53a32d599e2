"""R14: an input deleted midway leaves no output, one record and no retry. R12 in part: a folder that is
away.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Roots
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
        wait_until(lambda: running.daemon.snapshot().degraded is None)
        drop(folder / "new.jpg", "after the return")
        running.wait_for(done=13)
    assert len(outputs(tmp_path / "out")) == 13


@pytest.mark.parametrize("moment", ["reading", "finishing"])
def test_a_folder_that_is_back_before_anybody_asks_after_it_counts_nothing_as_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The picture is looked for while its folder is away, and the folder when it is back."""
    settings = make_settings(tmp_path)
    folder, away = tmp_path / "in", tmp_path / "unmounted"
    photo = drop(folder / "photo.jpg", "sky")
    read, is_there = sources.read, Roots.is_there
    flaps: list[Path] = []

    def unmounted(path: Path, *args: Any, **kwargs: Any) -> sources.Source:
        if moment == "reading" and not flaps and threading.current_thread().name.startswith("decode"):
            unmount()
        return read(path, *args, **kwargs)

    def mounted(roots: Roots, path: Path) -> bool:
        if away.exists() and threading.current_thread().name.startswith(("decode", "finish")):
            folder.rmdir()
            away.rename(folder)
        return is_there(roots, path)

    def unmount(_: bytes = b"") -> None:
        flaps.append(photo)
        folder.rename(away)
        folder.mkdir()

    renderer = StubRenderer()
    if moment == "finishing":
        renderer.before_finish = lambda _: None if flaps else unmount()
    monkeypatch.setattr(sources, "read", unmounted)
    monkeypatch.setattr(Roots, "is_there", mounted)
    with Running(settings, renderer) as running:
        running.wait_for(done=1, vanished=0)
    assert flaps == [photo]
    [job] = jobs_of(tmp_path, photo)
    assert not any("vanished" in what for _, what in job.history)


def test_a_folder_that_is_made_anew_is_watched_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().beats != {})
        (tmp_path / "in").rmdir()
        time.sleep(0.3)
        (tmp_path / "in").mkdir()
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(10, done=1)


def test_a_file_deleted_while_it_waits_in_the_queue_has_vanished(tmp_path: Path) -> None:
    renderer, goes_on = StubRenderer(), threading.Event()
    renderer.before_dream = lambda _: goes_on.wait(60) and None
    settings = make_settings(tmp_path)
    settings = replace(settings, folders=(replace(settings.folders[0], max_at_once=1),))
    photos = [drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}") for number in range(4)]
    with Running(settings, renderer) as running:
        running.wait_for(running=1, queued=3)
        for photo in photos:
            photo.unlink()
        goes_on.set()
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


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_files_deleted_at_any_moment_leave_a_dream_or_one_record_and_are_worked_at_once(
    tmp_path: Path, count: int
) -> None:
    rng = random.Random(count)
    renderer = StubRenderer()
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=16))
    photos = [drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}.") for number in range(count)]
    doomed = {
        photo: rng.choice(["before_prepare", "before_dream", "before_finish", "at some time"])
        for photo in rng.sample(photos, count // 2)
    }

    def delete_at(moment: str) -> Callable[[bytes], None]:
        mine = {b"sky %d." % int(photo.stem): photo for photo, at in doomed.items() if at == moment}

        def delete(text: bytes) -> None:
            for words, photo in mine.items():
                if words in text:
                    photo.unlink(missing_ok=True)

        return delete

    for moment in ("before_prepare", "before_dream", "before_finish"):
        setattr(renderer, moment, delete_at(moment))
    with Running(settings, renderer) as running:
        for photo in (photo for photo, at in doomed.items() if at == "at some time"):
            photo.unlink()
            time.sleep(rng.uniform(0, 0.01))
        wait_until(lambda: _ended(running.counts()) == count - _never_taken(tmp_path, doomed), 200)
    assert renderer.prepared <= count, "no retry"
    dreams = {path.name.partition(".")[0] for path in outputs(tmp_path / "out")}
    assert temps(tmp_path / "out") == []
    for photo in photos:
        jobs = jobs_of(tmp_path, photo)
        states = [job.state for job in jobs]
        records = [what for job in jobs for _, what in job.history if what.startswith("vanished")]
        assert (photo.stem in dreams) == (states == ["done"]), f"{photo.name}: {states}"
        assert len(records) == (states == ["vanished"]), f"{photo.name}: {records}"
        if photo not in doomed:
            assert states == ["done"]
        elif doomed[photo] != "at some time":
            assert states == ["vanished"]


def _ended(counts: Mapping[str, int]) -> int:
    return counts["done"] + counts["vanished"]


def _never_taken(root: Path, doomed: Mapping[Path, str]) -> int:
    """Return how many were deleted before they had settled."""
    journal = Journal.open(root / "state", read_only=True)
    try:
        return sum(at == "at some time" and not journal.of_path(photo) for photo, at in doomed.items())
    finally:
        journal.close()

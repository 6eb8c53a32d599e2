"""``preview = true``: what a picture is after its first octave is there at once, and its dream takes that place."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import outlets, stages
from deepdream_daemon.publishing import exchanging, preview, space
from deepdream_daemon.worker.workshop import Workshop
from deepdream_engine.errors import EngineFault
from deepdream_engine.pictures import read_provenance
from deepdream_engine.records import Failure
from deepdream_engine.session import Session
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from tests.corpus import scene
from tests.daemon.film_daemon import film_settings, running, take
from tests.daemon.stub import Running, jobs_of, outputs, recipe_book, temps, wait_until

SIDE = 'octaves = 2\nsteps = 2\nprefilters = []\n[objective]\nlayer = "conv2"\n'


class Gate:
    """Holds the engine after a picture's first octave, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self.failure: Exception | None = None
        landing = Session._land

        def land(session: Session, flight: Any, outcome: Any) -> None:
            assert self._open.wait(60), "nobody opened the gate"
            failed = Failure(error=self.failure) if isinstance(self.failure, EngineFault) else None
            landing(session, flight, failed or outcome)

        monkeypatch.setattr(Session, "_land", land)

    def open(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def house(root: Path, **folder: Any) -> Running:
    for name in ("in", "out"):
        (root / name).mkdir(exist_ok=True)
    settings = FolderSettings(input=root / "in", output=root / "out", preview=True, **folder)
    return running(root, folders=(settings,))


def drop(root: Path, name: str = "photo.png", seed: int = 1) -> Path:
    path = root / name
    Image.fromarray(scene(seed, 64, 64)).save(path)
    return take(path, root / "in", SIDE)


def shown(root: Path) -> Path:
    """Wait for the preview."""

    def is_there() -> bool:
        journal = Journal.open(root / "state", read_only=True)
        try:
            found = journal.preview(1)
        finally:
            journal.close()
        return found is not None and found.is_visible

    wait_until(is_there, what=lambda: outputs(root / "out"))
    (path,) = outputs(root / "out")
    return path


def is_preview(path: Path) -> bool:
    return bool((read_provenance(path.read_bytes()) or {}).get("preview"))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def test_a_preview_is_there_before_its_dream_which_takes_its_place(tmp_path: Path, gate: Gate) -> None:
    with house(tmp_path) as run:
        source = drop(tmp_path)
        first = shown(tmp_path)
        assert (first.name, is_preview(first)) == ("photo.classic.png", True)
        assert f"a preview of the dream of '{source}'" in verdict(run, first)
        before = pixels(first)
        assert before.shape == (64, 64, 3)
        assert np.abs(before - pixels(source)).mean() > 0.3
        gate.open()
        run.wait_for(done=1)
        wait_until(lambda: not temps(tmp_path / "out"))
        (dream,) = outputs(tmp_path / "out")
        assert (dream, is_preview(dream)) == (first, False)
        assert np.abs(pixels(dream) - before).mean() > 0.3
        (job,) = jobs_of(tmp_path, source)
        assert (job.output, job.attempts) == (dream, 0)
        assert any("a preview is published" in what for _, what in job.history)
    journal = Journal.open(tmp_path / "state")
    preview.withdraw(journal, [tmp_path / "out"])
    assert (outputs(tmp_path / "out"), journal.preview(1)) == ([first], None)
    journal.close()


def edited(path: Path) -> None:
    with Image.open(path) as opened:
        opened.rotate(90).save(path)


def swapped(path: Path) -> None:
    other = path.with_name("other.png")
    Image.new("RGB", (8, 8)).save(other)
    other.replace(path)


@pytest.mark.parametrize("change", [edited, swapped])
def test_what_somebody_has_made_of_a_preview_stays_and_the_dream_gets_a_name_of_its_own(
    tmp_path: Path, gate: Gate, change: Callable[[Path], None]
) -> None:
    with house(tmp_path) as run:
        drop(tmp_path)
        first = shown(tmp_path)
        change(first)
        kept = first.read_bytes()
        gate.open()
        run.wait_for(done=1)
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic-2.png", "photo.classic.png"]
    assert first.read_bytes() == kept
    assert not temps(tmp_path / "out")


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_preview_that_was_moved_or_removed_is_not_put_back_and_the_dream_appears_under_its_name(
    tmp_path: Path, gate: Gate, elsewhere: bool
) -> None:
    with house(tmp_path) as run:
        drop(tmp_path)
        first = shown(tmp_path)
        kept = first.rename(tmp_path / "kept.png") if elsewhere else first.unlink()
        gate.open()
        run.wait_for(done=1)
    (dream,) = outputs(tmp_path / "out")
    assert (dream, is_preview(dream)) == (first, False)
    assert kept is None or is_preview(kept)


def test_a_file_put_there_in_the_very_moment_stays(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the exchange."""
    exchange, mine = exchanging.exchange, tmp_path / "mine.png"
    mine.write_bytes(b"mine")

    def too_late(one: str, other: str, at: int) -> None:
        if mine.exists() and other == "photo.classic.png":
            mine.replace(tmp_path / "out" / other)
        exchange(one, other, at)

    with house(tmp_path) as run:
        drop(tmp_path)
        first = shown(tmp_path)
        monkeypatch.setattr(preview, "exchange", too_late)
        gate.open()
        run.wait_for(done=1)
    assert first.read_bytes() == b"mine"
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic-2.png", "photo.classic.png"]
    assert not temps(tmp_path / "out")


def test_the_name_of_a_preview_is_free_where_no_second_name_is_wanted(tmp_path: Path, gate: Gate) -> None:
    with house(tmp_path, collision="skip") as run:
        drop(tmp_path)
        first = shown(tmp_path)
        gate.open()
        run.wait_for(done=1)
        assert outputs(tmp_path / "out") == [first]
        assert not is_preview(first)


def test_nothing_is_shown_where_the_name_is_taken_and_no_other_is_wanted(tmp_path: Path, gate: Gate) -> None:
    with house(tmp_path, collision="skip") as run:
        (tmp_path / "out" / "photo.classic.png").write_bytes(b"mine")
        gate.open()
        source = drop(tmp_path)
        wait_until(lambda: "is there already" in verdict(run, source))
        assert [path.read_bytes() for path in outputs(tmp_path / "out")] == [b"mine"]


def verdict(run: Running, path: Path) -> str:
    """Return all that is said of a file."""
    journal = Journal.open(run.settings.state, read_only=True)
    try:
        return str(explain(path, run.settings, recipe_book(), journal))
    finally:
        journal.close()


def test_a_copy_of_a_preview_is_known_as_ours(tmp_path: Path, gate: Gate) -> None:
    with house(tmp_path) as run:
        source = drop(tmp_path)
        shutil.copy(shown(tmp_path), tmp_path / "in" / "copy.png")
        gate.open()
        run.wait_for(done=1)
        wait_until(lambda: "a dream of this daemon already" in verdict(run, tmp_path / "in" / "copy.png"))
        assert run.counts()["done"] == 1
        assert not jobs_of(tmp_path, tmp_path / "in" / "copy.png")
        assert jobs_of(tmp_path, source)


def test_a_picture_that_fails_leaves_no_preview(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.running.tidying.LOOK_SECONDS", 0.1)
    with house(tmp_path) as run:
        drop(tmp_path)
        shown(tmp_path)
        gate.open(EngineFault("the network has no opinion"))
        run.wait_for(60, failed=1)
        wait_until(lambda: not outputs(tmp_path / "out"), what=lambda: outputs(tmp_path / "out"))


def test_what_is_no_preview_any_more_is_not_taken_away(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    journal = Journal.open(tmp_path / "state")
    target = tmp_path / "out" / "photo.png"
    target.write_bytes(b"edited")
    with journal._transaction() as connection:
        connection.execute("INSERT INTO previews VALUES (7, ?, ?, 1, 0)", (os.fsencode(target), "0" * 64))
    preview.withdraw(journal, [tmp_path / "out"])
    assert target.read_bytes() == b"edited"
    assert not journal.stale_previews()
    journal.close()


def test_where_files_cannot_change_places_there_is_no_preview(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(exchanging, "exchange", refused)
    gate.open()
    with house(tmp_path) as run:
        drop(tmp_path)
        run.wait_for(done=1)
    (dream,) = outputs(tmp_path / "out")
    assert not is_preview(dream)
    assert not temps(tmp_path / "out")


def test_a_preview_that_cannot_be_written_costs_the_dream_nothing(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stages.preview, "show", full)
    gate.open()
    with house(tmp_path) as run:
        source = drop(tmp_path)
        run.wait_for(done=1)
    (job,) = jobs_of(tmp_path, source)
    assert (job.attempts, len(outputs(tmp_path / "out"))) == (0, 1)


def full_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk of the output be full as soon as there is one file."""
    real = stages.stage

    def staged(directory: Path, *args: Any, **more: Any) -> Any:
        if outputs(directory):
            raise OSError(28, "No space left on device")
        return real(directory, *args, **more)

    monkeypatch.setattr(stages, "stage", staged)


def test_on_a_full_disk_a_preview_gives_way_to_its_dream(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_with_one(monkeypatch)
    with house(tmp_path) as run:
        source = drop(tmp_path)
        first = shown(tmp_path)
        gate.open()
        run.wait_for(30, done=1)
    (job,) = jobs_of(tmp_path, source)
    assert (outputs(tmp_path / "out"), is_preview(first), job.attempts) == ([first], False, 0)
    assert not temps(tmp_path / "out")


def test_on_a_full_disk_a_preview_that_somebody_has_changed_stays_and_the_dream_waits(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_with_one(monkeypatch)
    with house(tmp_path) as run:
        drop(tmp_path)
        first = shown(tmp_path)
        edited(first)
        kept = first.read_bytes()
        gate.open()
        wait_until(lambda: "No space left" in (run.daemon.snapshot().degraded or ""), what=run.daemon.snapshot)
        assert first.read_bytes() == kept
        first.rename(tmp_path / "elsewhere.png")
        run.wait_for(60, done=1)
    assert (tmp_path / "elsewhere.png").read_bytes() == kept
    assert [is_preview(path) for path in outputs(tmp_path / "out")] == [False]


def test_no_preview_takes_the_space_that_its_dream_will_need(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = space.check_floor

    def check(directory: Path, floor_gib: float, more_bytes: int = 0) -> None:
        asked.append(more_bytes)
        if len(asked) == 1:  # as if there were half of it
            raise space.TooLittleSpace(directory, more_bytes // 2, 0)
        real(directory, floor_gib, more_bytes)

    monkeypatch.setattr(outlets, "check_floor", check)
    gate.open()
    with house(tmp_path) as run:
        source = drop(tmp_path)
        run.wait_for(30, done=1)
    (dream,) = outputs(tmp_path / "out")
    assert not is_preview(dream)
    assert asked[0] > 1.5 * dream.stat().st_size
    assert jobs_of(tmp_path, source)[0].attempts == 0


@pytest.mark.slow
def test_a_preview_comes_from_a_worker_process_too(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    folder = FolderSettings(input=tmp_path / "in", output=tmp_path / "out", preview=True)
    settings = film_settings(tmp_path, folders=(folder,))
    workshop = Workshop(settings.engine, settings.pictures, Selection())
    source = tmp_path / "photo.png"
    Image.fromarray(scene(1, 480, 480)).save(source)
    try:
        with Running(settings, workshop, RecipeBook(load_catalogue())) as run:
            take(source, tmp_path / "in", SIDE.replace("steps = 2", 'steps = 12\npostfilters = ["sharpen"]'))
            first = shown(tmp_path)
            assert is_preview(first)
            run.wait_for(120, done=1)
            assert outputs(tmp_path / "out") == [first]
            assert not is_preview(first)
    finally:
        workshop.close()


@pytest.mark.parametrize("collision", ["skip", "number"])
def test_a_photo_that_is_edited_after_its_preview_gets_its_dream_under_that_name(
    tmp_path: Path, gate: Gate, collision: str
) -> None:
    with house(tmp_path, collision=collision) as run:
        source = drop(tmp_path)
        first = shown(tmp_path)
        Image.fromarray(scene(2, 64, 64)).save(tmp_path / "edited.png")
        (tmp_path / "edited.png").replace(source)
        gate.open()
        run.wait_for(done=1, running=0, queued=0)
        wait_until(lambda: not temps(tmp_path / "out"))
        assert outputs(tmp_path / "out") == [first]
        assert not is_preview(first)

"""A photo that is dropped into a watched folder returns its sheet: one job, which a kill or a worker's end repeats."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from deepdream_daemon.failpoints import VARIABLE
from deepdream_daemon.worker.workshop import Workshop
from deepdream_engine.pictures import read_provenance
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from tests.daemon.film_daemon import command, film_settings, photo, running, take
from tests.daemon.filming import digest
from tests.daemon.stub import Running, environment, jobs_of, outputs, temps, wait_until

SIDE = "octaves = 1\nsteps = 2\nprefilters = []\npostfilters = []\n[atlas]\n"
SHORT = 'layers = ["conv1", "conv2", "mixed3a"]\ncell_px = 64\n'


def numbered(sheet: Path) -> list[str]:
    told = read_provenance(sheet.read_bytes())
    assert told is not None
    cells = told["atlas"]
    assert isinstance(cells, list)
    return [cell["layer"] for cell in cells]


def test_a_photo_in_the_folder_atlas_gets_a_numbered_sheet_and_a_number_beside_one_its_dream(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        (tmp_path / "in" / "atlas").mkdir()
        take(photo(tmp_path), tmp_path / "in" / "atlas", f"{SIDE}{SHORT}")
        take(photo(tmp_path, "other.png"), tmp_path / "in" / "atlas", f"{SIDE}{SHORT}pick = 2\n")
        run.wait_for(60, done=2)
    dream, sheet = outputs(tmp_path / "out")
    assert (sheet.name, dream.name) == ("photo.atlas.jpg", "other.atlas.jpg")
    assert numbered(sheet) == ["conv1", "conv2", "mixed3a"]
    with Image.open(dream) as picked, Image.open(sheet) as drawn:
        assert picked.size == (64, 48)
        assert drawn.width > 3 * 64
    told = read_provenance(dream.read_bytes())
    assert told is not None
    assert told["recipe"]["objective"]["layer"] == "conv2"  # type: ignore[index]


def test_a_number_that_is_not_on_the_sheet_fails_that_photo_alone_and_says_which_there_are(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        bad = take(photo(tmp_path), tmp_path / "in", f"{SIDE}{SHORT}pick = 4\n")
        take(photo(tmp_path, "good.png"), tmp_path / "in", f"{SIDE}{SHORT}")
        run.wait_for(60, done=1, failed=1)
    (job,) = jobs_of(tmp_path, tmp_path / "in" / bad.name)
    assert job.state == "failed"
    assert "the sheet has no number 4; choose one from 1 to 3" in str(job.error)


def made(root: Path, **variables: str) -> str:
    """Run the daemon until the photo's sheet is published, or, with ``variables``, until it is killed by them."""
    source = root / "in" / "photo.png"
    if not (root / "in").exists():
        (root / "in").mkdir()
        take(photo(root), root / "in", f"{SIDE}{SHORT}")

    def is_done() -> bool:
        there = (root / "state" / "journal.sqlite3").exists()
        return there and [job.state for job in jobs_of(root, source)] == ["done"]

    with subprocess.Popen(command(root), env=environment(OMP_NUM_THREADS="1", **variables)) as process:
        if variables:
            assert process.wait(60) == -signal.SIGKILL
            return ""
        wait_until(is_done, 60)
        process.send_signal(signal.SIGTERM)
    assert not temps(root / "out")
    (sheet,) = outputs(root / "out")
    return digest(sheet)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One folder for all, since the place is part of what a sheet tells of its making; and the sheet's digest."""
    root = tmp_path_factory.mktemp("house")
    return root, made(root)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["develop.prepared:1", "finish.encoded:1", "publish.announced:1", "publish.linked:1"])
def test_after_a_kill_there_is_one_sheet_the_same_to_the_byte(place: tuple[Path, str], point: str) -> None:
    root, whole = place
    for name in ("in", "out", "state"):
        shutil.rmtree(root / name)
    made(root, **{VARIABLE: point})
    assert made(root) == whole


@pytest.mark.slow
def test_a_worker_that_is_killed_within_a_sheet_dreams_it_again(tmp_path: Path) -> None:
    settings = film_settings(tmp_path)
    workshop = Workshop(settings.engine, settings.pictures, Selection())
    try:
        with Running(settings, workshop, RecipeBook(load_catalogue())) as run:
            many = 'layers = "all"\ncell_px = 256\n'
            source = take(photo(tmp_path), tmp_path / "in", f"{SIDE}{many}".replace("steps = 2", "steps = 60"))
            wait_until(lambda: any(job.detail.startswith("layer ") for job in run.daemon.snapshot().active), 60)
            assert workshop.pid is not None
            os.kill(workshop.pid, signal.SIGKILL)
            run.wait_for(120, done=1)
            assert workshop.restarts == 1
        (job,) = jobs_of(tmp_path, source)
        assert job.state == "done"
        (sheet,) = outputs(tmp_path / "out")
        assert len(numbered(sheet)) == 13
    finally:
        workshop.close()

"""``kill -9`` at any moment of a film: after a restart there is one film, the same to the byte, and nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdream_daemon.failpoints import FILM_POINTS, VARIABLE
from deepdream_daemon.running.snapshot import Active
from deepdream_daemon.worker.workshop import Workshop
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from tests.daemon.film_daemon import command, film_settings, journey, photo, take
from tests.daemon.filming import digest, write_film
from tests.daemon.stub import Running, environment, jobs_of, outputs, temps, wait_until

pytest.importorskip("av")

SIDE = journey(11, 'way = "ping-pong"\n')


@contextmanager
def daemon(root: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command(root), env=environment(OMP_NUM_THREADS="1", **variables))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)


def done(root: Path, source: Path, seconds: float = 60.0) -> Path:
    """Wait until there is a film, and nothing but that."""
    until = time.monotonic() + seconds
    while not _is_done(root, source):
        assert time.monotonic() < until, (jobs_of(root, source), outputs(root / "out"))
        time.sleep(0.05)
    (film,) = outputs(root / "out")
    return film


def _is_done(root: Path, source: Path) -> bool:
    if not (root / "state" / "journal.sqlite3").exists():
        return False
    is_tidy = not any((root / "state" / "films").glob("*")) and not temps(root / "out")
    return is_tidy and [job.state for job in jobs_of(root, source)] == ["done"]


def started(root: Path) -> Path:
    for name in ("in", "out", "state"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "in").mkdir()
    return take(photo(root), root / "in", SIDE)


POINTS = [f"{point}:{nth}" for point in FILM_POINTS[:2] for nth in (1, 3)]
POINTS += ["film.assembled:1", "finish.encoded:1", "copy.temp_synced:1"]
POINTS += [f"publish.{name}:1" for name in ("announced", "linked", "directory_synced", "done", "temp_removed")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One folder for all, since the place is part of what a film tells of its making; and the film's digest."""
    root = tmp_path_factory.mktemp("house")
    source = started(root)
    with daemon(root):
        return root, digest(done(root, source))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_there_is_one_film_the_same_to_the_byte(place: tuple[Path, str], point: str) -> None:
    root, wanted = place
    source = started(root)
    with daemon(root, **{VARIABLE: point}) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    with daemon(root):
        assert digest(done(root, source)) == wanted


@pytest.mark.slow
def test_a_worker_that_is_killed_within_films_costs_each_a_chunk_and_nothing_else(tmp_path: Path) -> None:
    clip = write_film(tmp_path / "clip.mp4", tmp_path / "spool", 120)
    assert clip is not None
    shutil.copy(clip, tmp_path / "kept.mp4")

    def made(*, kill: bool) -> list[str]:
        settings = film_settings(tmp_path)
        workshop = Workshop(settings.engine, settings.pictures, Selection())
        try:
            with Running(settings, workshop, RecipeBook(load_catalogue())) as run:
                shutil.copy(tmp_path / "kept.mp4", clip)
                sources = [
                    take(photo(tmp_path), tmp_path / "in", journey(120)),
                    take(clip, tmp_path / "in"),
                ]
                if kill:
                    wait_until(lambda: any(_frame(job) > 60 for job in run.daemon.snapshot().active), 60)
                    assert workshop.pid is not None
                    os.kill(workshop.pid, signal.SIGKILL)
                run.wait_for(120, done=2)
                assert workshop.restarts == kill
                assert [job.attempts for source in sources for job in jobs_of(tmp_path, source)] == [0, 0]
                return [digest(film) for film in outputs(tmp_path / "out")]
        finally:
            workshop.close()

    wanted = made(kill=False)
    for name in ("in", "out", "state"):
        shutil.rmtree(tmp_path / name)
    assert made(kill=True) == wanted


def _frame(job: Active) -> int:
    return int(job.detail.split()[1]) if job.detail else 0

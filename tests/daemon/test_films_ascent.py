"""``output.steps = "film"``: the ascent of a photo's dream is a film, a frame for each step; the last is the dream."""

from __future__ import annotations

import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.failpoints import VARIABLE
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.feed import Feed
from deepdream_engine.errors import BadOption
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.cli import photo as paint
from tests.daemon.film_daemon import photo, running, small_chunks, take
from tests.daemon.filming import decoded, digest
from tests.daemon.stub import outputs, recipe_book, wait_until
from tests.daemon.test_film_jobs_killed import daemon, done

pytest.importorskip("av")

__all__ = ["nowhere"]

QUICK = ("--set", "octaves=2", "--set", "steps=3", "--set", "objective.layer=conv2", "--set", "seed=5")
FILM = ("--set", "output.steps=film", "--set", "film.codec=ffv1")
SIDE = """octaves = 2
steps = 5
[objective]
layer = "conv2"
[output]
steps = "film"
"""


HELD = 25
"""Frames of a film for which its last one is shown: a second."""


def test_the_film_begins_with_the_photo_and_ends_with_its_dream(tmp_path: Path) -> None:
    source = paint(tmp_path / "photo.png", width=65, height=47)
    plain = ("--set", "prefilters=[]", "--set", 'postfilters=["sharpen"]')
    made = deepdream("dream", source, *QUICK, *plain, *FILM, "-o", "film.mkv")
    assert (made.exit_code, made.stdout) == (0, f"{tmp_path / 'film.mkv'}\n"), made.stderr
    assert deepdream("dream", source, *QUICK, *plain).exit_code == 0
    with Image.open(tmp_path / "photo.classic.png") as still:
        dream = np.asarray(still.convert("RGB")).astype(int)[:46, :64]  # players want even sides
    frames = [frame.astype(int) for frame in decoded(tmp_path / "film.mkv")]
    assert len(frames) == 2 * 3 + HELD
    assert all(np.abs(frame - dream).max() <= 2 for frame in frames[-HELD:])  # YUV
    assert min(np.abs(now - before).mean() for before, now in pairwise(frames[:7])) > 0.2, "a step shows nothing"
    assert not list((tmp_path / "user-state" / "films").glob("*")), "unfinished frames are left"


def test_photos_and_their_ascents_and_clips_share_a_command(tmp_path: Path) -> None:
    film = paint(tmp_path / "film.png")
    film.with_name("film.png.toml").write_text('[output]\nsteps = "film"\n[film]\ncontainer = "gif"\n')
    still = paint(tmp_path / "still.png")
    result = deepdream("dream", still, film, *QUICK)
    assert result.stdout.split() == [str(tmp_path / "still.classic.png"), str(tmp_path / "film.classic.gif")]
    with Image.open(tmp_path / "film.classic.gif") as made:
        assert made.n_frames == 7  # type: ignore[attr-defined]
        times = []
        for number in range(7):
            made.seek(number)
            times.append(made.info["duration"])
    assert times == [40] * 6 + [1000], "it stays on its dream for a moment before it begins again"


def test_a_journey_is_a_film_already() -> None:
    with pytest.raises(BadOption, match=r'--set output.steps: steps = "film" films .* has a journey.*Leave out one'):
        recipe_book().resolve("article", [({"output": {"steps": "film"}}, lambda *_: "--set output.steps")])


def test_a_recipe_that_films_its_steps_says_so_and_no_other_recipe_changes() -> None:
    book = recipe_book()
    plain = book.resolve("classic")
    filmed = book.resolve("classic", [({"output": {"steps": "film"}}, lambda *_: "here")])
    assert "steps" not in plain.to_dict()["output"]
    assert (filmed.makes_film, plain.makes_film) == (True, False)
    assert filmed.fingerprint() != plain.fingerprint()
    assert book.from_dict(filmed.to_dict()) == filmed


def test_in_a_watched_folder_it_does_not_pause_since_its_dream_would_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch.setattr)
    monkeypatch.setattr(Feed, "gives_way", lambda *_: pytest.fail("nobody asks"))
    with running(tmp_path) as run:
        take(photo(tmp_path), tmp_path / "in", SIDE)
        run.wait_for(60, done=1)
    (film,) = outputs(tmp_path / "out")
    assert film.name == "photo.classic.mp4"
    assert len(decoded(film)) == 10 + HELD


def test_a_film_that_is_tried_again_is_made_again_beside_the_first(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        source = take(photo(tmp_path), tmp_path / "in", SIDE)
        run.wait_for(60, done=1)
        journal = Journal.open(tmp_path / "state")
        assert journal.retry(source) == 1
        journal.close()
        wait_until(lambda: len(outputs(tmp_path / "out")) == 2, 60)
        run.wait_for(60, done=1)
    again, first = outputs(tmp_path / "out")
    assert [again.name, first.name] == ["photo.classic-2.mp4", "photo.classic.mp4"]
    assert digest(again) == digest(first)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["film.chunk_closed:2", "film.chunk_kept:2", "film.assembled:1", "publish.linked:1"])
def test_after_a_kill_it_is_the_same_film_to_the_byte(tmp_path: Path, point: str) -> None:
    def made(**variables: str) -> str:
        for name in ("in", "out", "state"):
            (tmp_path / name).rename(tmp_path / f"{name}-before") if (tmp_path / name).exists() else None
        (tmp_path / "in").mkdir()
        source = take(photo(tmp_path), tmp_path / "in", SIDE)
        if variables:
            with daemon(tmp_path, **variables) as killed:
                assert killed.wait(60) == -signal.SIGKILL
        with daemon(tmp_path):
            return digest(done(tmp_path, source))

    assert made() == made(**{VARIABLE: point})


def test_a_film_is_shown_on_a_contact_sheet_and_nothing_else_is(tmp_path: Path) -> None:
    source = paint(tmp_path / "photo.png", width=64, height=48)
    result = deepdream("dream", source, *QUICK, *FILM, "-o", "film.mkv", "--contact-sheet", "sheet.png")
    assert result.stdout.split() == [str(tmp_path / "film.mkv"), str(tmp_path / "sheet.png")], result.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 10
    refused = deepdream("dream", source, *QUICK, "--contact-sheet", "sheet.png")
    assert refused.exit_code != 0
    assert "shows the frames of one film" in refused.stderr

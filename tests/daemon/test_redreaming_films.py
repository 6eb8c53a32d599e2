"""A film is made again from what its file tells: a journey, the ascent of a photo, and a clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.filming import write_film

pytest.importorskip("av")
pytest.importorskip("cv2")

__all__ = ["nowhere"]

QUICK = ("--set", "octaves=1", "--set", "steps=2", "--set", "objective.layer=conv2")
KINDS = {
    "a journey": (
        "journey",
        "photo.png",
        "--recipe",
        "classic",
        "--set",
        "journey.zoom=1.05",
        "--set",
        "journey.frames=3",
    ),
    "an ascent": ("dream", "photo.png", "--set", "output.steps=film"),
    "a clip": ("dream", "clip.mp4"),
}


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("a journey", ".mp4"),
        ("a clip", ".mp4"),
        *(("an ascent", suffix) for suffix in (".mp4", ".mkv", ".webm", ".gif")),
    ],
)
def test_a_film_is_made_again_equal_to_the_pixel(tmp_path: Path, kind: str, suffix: str) -> None:
    photo(tmp_path / "photo.png", width=64, height=48)
    write_film(tmp_path / "clip.mp4", tmp_path / "spool", 4)
    made = deepdream(*KINDS[kind], *QUICK, "--set", "seed=3", "-o", f"film{suffix}")
    assert made.exit_code == 0, made.stderr
    again = deepdream("redream", f"film{suffix}")
    assert (again.exit_code, again.stdout) == (0, f"{tmp_path / f'film.redream{suffix}'}\n"), again.stderr
    assert f"film{suffix}: equal to the pixel" in again.stderr


def test_it_says_what_was_not_the_same(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png", width=64, height=48)
    assert deepdream(*KINDS["an ascent"], *QUICK, "-o", "film.mp4").exit_code == 0
    (tmp_path / "photo.png").write_bytes(b"other")
    moved = deepdream("redream", "film.mp4")
    assert moved.exit_code != 0
    assert "the source of 'film.mp4', 'photo.png'" in moved.stderr
    assert "(another content)" in moved.stderr


def test_a_film_of_somebody_elses_says_nothing_about_its_making(tmp_path: Path) -> None:
    write_film(tmp_path / "clip.mp4", tmp_path / "spool", 4)
    result = deepdream("redream", "clip.mp4")
    assert result.exit_code != 0
    assert "does not say how it was made" in result.stderr

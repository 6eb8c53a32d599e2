"""GIF, WebP and APNG: their times, loops, transparency and colours, as Pillow and browsers read them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.films import FilmFacts
from deepdream_engine.pictures.provenance import read_provenance
from tests.daemon.filming import digest, finish, frame, write_film

pytest.importorskip("av", reason="the extra video")


def _read(path: Path) -> tuple[list[Image.Image], list[float]]:
    """The frames and how many milliseconds each is shown."""
    frames, durations = [], []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(image.convert("RGBA"))
            durations.append(float(image.info.get("duration", 0)))
    return frames, durations


def _error(image: Image.Image, number: int) -> float:
    levels = np.asarray(image.convert("RGB")).astype(np.float32)
    return float(np.abs(levels - frame(number).pixels.transpose(1, 2, 0) * 255).mean())


@pytest.mark.parametrize(("name", "most"), [("gif", 12.0), ("webp", 6.0), ("apng", 0.3)])
def test_an_animation_has_all_frames_at_their_times(tmp_path: Path, name: str, most: float) -> None:
    facts = FilmFacts(width=96, height=64, rate=Fraction(24000, 1001))

    path = write_film(tmp_path / f"film.{name}", tmp_path / "spool", 60, facts=facts)

    assert path is not None
    frames, durations = _read(path)
    assert len(frames) == 60
    assert sum(durations) == pytest.approx(60 * 1001 / 24, abs=10)  # it does not drift, though a GIF has 1/100 s
    assert max(durations) - min(durations) <= 10
    for number in (0, 30, 59):
        assert _error(frames[number], number) < most


@pytest.mark.parametrize(
    ("name", "own"), [("gif", {0: 0, 1: None, 3: 2}), ("webp", {0: 0, 1: 1, 3: 3}), ("apng", {0: 0, 1: 1, 3: 3})]
)
def test_the_loop_count_survives(tmp_path: Path, name: str, own: dict[int, Any]) -> None:
    for plays, counted in own.items():  # a GIF counts repetitions, and one that is played once has no count
        facts = FilmFacts(width=32, height=32, loop=plays)
        path = write_film(tmp_path / f"{plays}.{name}", tmp_path / "spool", 3, facts=facts)
        with Image.open(path or "") as image:
            assert image.info.get("loop") == counted


@pytest.mark.parametrize("name", ["gif", "webp", "apng"])
def test_transparency_survives(tmp_path: Path, name: str) -> None:
    facts = FilmFacts(width=96, height=64, has_alpha=True)

    path = write_film(tmp_path / f"film.{name}", tmp_path / "spool", 4, facts=facts)

    assert path is not None
    for number, image in enumerate(_read(path)[0]):
        alpha = np.asarray(image)[..., 3]
        assert alpha[:, :48].max() == 0, number
        assert alpha[:, 48:].min() == 255, number


@pytest.mark.parametrize("name", ["gif", "webp", "apng"])
def test_an_animation_tells_how_it_was_made(tmp_path: Path, name: str) -> None:
    for count in (1, 3):
        path = write_film(
            tmp_path / f"{count}.{name}", tmp_path / "spool", count, writer={"provenance": {"recipe": "a" * 300}}
        )
        assert path is not None
        assert read_provenance(path.read_bytes()) == {"recipe": "a" * 300}
        assert len(_read(path)[0]) == count


@pytest.mark.parametrize("name", ["gif", "webp", "apng"])
def test_a_killed_animation_goes_on_and_ends_as_the_same_file(tmp_path: Path, name: str) -> None:
    whole = write_film(tmp_path / f"whole.{name}", tmp_path / "a", 60)
    write_film(tmp_path / f"killed.{name}", tmp_path / "b", 60, stop=55)

    assert digest(write_film(tmp_path / f"killed.{name}", tmp_path / "b", 60)) == digest(whole)


def test_colours_of_a_gif_stay_where_nothing_moves(tmp_path: Path) -> None:
    from deepdream_daemon.films import FilmOptions, FilmWriter, Frame, Spool

    still = frame(0).pixels
    facts = FilmFacts(width=96, height=64)
    with (
        Spool(tmp_path / "s", 1 << 30) as spool,
        FilmWriter(tmp_path / "f.gif", facts, FilmOptions(), spool) as film,
    ):
        for number in range(5):
            moving = frame(number * 4).pixels
            pixels = np.concatenate([still[..., :48], moving[..., 48:]], axis=2)
            film.write(Frame(pixels=pixels, pts=Fraction(number, 10), duration=Fraction(1, 10)))
        path = finish(film, tmp_path / "f.gif")

    frames = [np.asarray(image)[:, :48] for image in _read(path)[0]]
    assert all(np.array_equal(frames[0], other) for other in frames[1:])


def test_a_gif_that_is_too_fast_leaves_frames_out_rather_than_becoming_slow(tmp_path: Path) -> None:
    facts = FilmFacts(width=32, height=32, rate=Fraction(100))

    path = write_film(tmp_path / "film.gif", tmp_path / "spool", 40, facts=facts)

    assert path is not None
    frames, durations = _read(path)
    assert len(frames) == 20
    assert set(durations) == {20}


def test_a_gif_of_few_colours_is_smaller(tmp_path: Path) -> None:
    sizes = []
    for quality in (10, 30, 80):
        path = write_film(tmp_path / f"{quality}.gif", tmp_path / "spool", 5, quality=quality)
        assert path is not None
        sizes.append(path.stat().st_size)

    assert sizes == sorted(sizes)
    assert sizes[0] < 0.9 * sizes[2]

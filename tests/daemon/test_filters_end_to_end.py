"""Filters and schedules from the command line to the published file: sizes, transparency, colours, messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.pictures import decode, read_provenance
from tests.corpus import scene
from tests.daemon.cli import QUICK, deepdream, nowhere, photo

__all__ = ["nowhere"]


def dreamt(source: Path, postfilters: str, *more: str) -> Image.Image:
    """Dream ``source`` through ``postfilters`` and return the file that is published beside it."""
    result = deepdream("dream", source, *QUICK, "--set", f"postfilters={postfilters}", *more)
    assert result.exit_code == 0, result.stderr
    return loaded(Path(result.stdout.strip()))


def loaded(path: Path) -> Image.Image:
    """Return a picture whose file is closed again."""
    with Image.open(path) as opened:
        opened.load()
        return opened.copy()


def see_through(path: Path) -> Path:
    """Save a picture of 96 × 72 pixels whose left third is transparent."""
    alpha = np.full((72, 96, 1), 255, np.uint8)
    alpha[:, :32] = 0
    Image.fromarray(np.concatenate([scene(1, 96, 72), alpha], axis=2)).save(path)
    return path


def test_a_wallpaper_has_the_shape_and_size_that_were_asked_for(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png", width=120, height=96)
    made = dreamt(source, '[{ name = "crop", aspect = "16:9" }, { name = "resize", longest_side = 64 }]')
    assert made.size == (64, 36)


def test_transparency_is_cropped_with_the_picture(tmp_path: Path) -> None:
    made = dreamt(see_through(tmp_path / "photo.png"), '[{ name = "crop", width = 40, anchor = "left" }]')
    assert (made.size, made.mode) == ((40, 72), "RGBA")
    alpha = np.asarray(made)[..., 3]
    assert (alpha[:, :32] == 0).all()
    assert (alpha[:, 32:] == 255).all()


def test_before_and_after_are_in_one_file_with_their_transparency(tmp_path: Path) -> None:
    source = see_through(tmp_path / "photo.png")
    made = dreamt(source, '[{ name = "side_by_side", gap = 8 }]')
    assert made.size == (96, 152)
    pixels, before = np.asarray(made).astype(int), np.asarray(loaded(source)).astype(int)
    seen = before[..., 3] > 0
    assert np.abs(pixels[:72] - before)[seen].max() <= 1
    assert np.abs(pixels[80:] - before)[seen].max() > 1
    assert (pixels[72:80] == 255).all()
    assert (pixels[80:, :32, 3] == 0).all()


def test_every_staying_filter_at_once_keeps_size_and_says_so_in_the_file(tmp_path: Path) -> None:
    names = [
        *("blend", "keep_colours", "match_histogram", "local_contrast", "tone", "sharpen", "vignette", "film_grain"),
    ]
    listed = ", ".join(f'"{name}"' for name in names)
    source = photo(tmp_path / "photo.jpg")
    made = dreamt(source, f'[{listed}, {{ name = "watermark", text = "dream" }}]')
    assert made.size == loaded(source).size
    provenance = read_provenance((tmp_path / "photo.classic.jpg").read_bytes())
    assert provenance is not None
    recipe: dict[str, list[dict[str, object]]] = provenance["recipe"]  # type: ignore[assignment]
    assert [each["name"] for each in recipe["postfilters"]] == [*names, "watermark"]


def test_the_same_photo_gets_the_same_grain(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    grain = '[{ name = "film_grain", strength = 30 }]'
    once, again, other = (
        np.asarray(dreamt(source, grain, "-o", str(tmp_path / folder), *("--set", f"seed={seed}")))
        for folder, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert (once == again).all()
    assert (once != other).mean() > 0.5


def test_tone_before_the_dream_changes_what_is_dreamt(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    made = dreamt(source, "[]", "--set", 'prefilters=[{ name = "tone", saturation = 0 }]')
    chroma = np.ptp(np.asarray(made).astype(int), axis=2).mean()
    assert chroma < 0.5 * np.ptp(decode(source.read_bytes()).pixels * 255, axis=2).mean()


@pytest.mark.parametrize("schedule", ["fit", "taper", "budget"])
def test_a_schedule_by_name_dreams(tmp_path: Path, schedule: str) -> None:
    source = photo(tmp_path / "photo.png")
    made = dreamt(source, "[]", "--set", f"schedule={schedule}")
    difference = np.abs(np.asarray(made).astype(int) - np.asarray(loaded(source)).astype(int))
    assert difference.max() > 2


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ('[{ name = "crop", aspect = "16:8" }]', "'16:8' is not one of any, 1:1, "),
        ('["watermark"]', "filter 'watermark' needs the option 'text', a string: what it says"),
        ('[{ name = "film_grain", strenght = 3 }]', "Did you mean 'strength'?"),
        ('[{ name = "local_contrast", tiles = 0 }]', "0 is not an integer from 1 to 64"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_dreamt(tmp_path: Path, filters: str, said: str) -> None:
    source = photo(tmp_path / "photo.png")
    result = deepdream("dream", source, *QUICK, "--set", f"postfilters={filters}")
    assert result.exit_code != 0
    assert said in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]

"""A photo's atlas: one sheet of its dream at every layer, numbered, and the dream that is picked from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepdream_engine.pictures import read_provenance
from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.microscope_networks import Shapes, configured

__all__ = ["nowhere"]

ATLAS = """
[recipes.atlas]
model = "shapes"
octaves = 1
steps = 2
jitter = 4
objective = "l2"
atlas = { layers = "all", cell_px = 64, columns = 3 }
output = { format = "png" }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A network of a few layers, and the recipe of its sheet."""
    torch.manual_seed(6)
    config = configured(tmp_path / "own", Shapes(width=8).eval().requires_grad_(False), "small_shapes")
    config.write_text(config.read_text() + ATLAS)
    return config


def told(path: Path) -> dict[str, Any]:
    found = read_provenance(path.read_bytes())
    assert found is not None
    return dict(found)


def cells(sheet: Path, side: int = 64, columns: int = 3) -> list[np.ndarray[Any, Any]]:
    """The dreams in the first row of a sheet."""
    gap, top = 6, 33
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened)
    lefts = [gap + column * (side + gap) for column in range(columns)]
    return [pixels[top : top + side, left : left + side] for left in lefts]


def test_a_photo_becomes_a_sheet_of_all_layers_and_a_number_on_it_its_dream(tmp_path: Path, config: Path) -> None:
    photo(tmp_path / "photo.jpg", width=200, height=120)
    result = deepdream("dream", "photo.jpg", "-r", "atlas", "--config", config)
    assert result.exit_code == 0, result.stderr
    sheet = tmp_path / "photo.atlas.png"
    assert result.stdout == f"{sheet}\n"
    numbered = told(sheet)["atlas"]
    layers = [row["name"] for row in json.loads(deepdream("layers", "shapes", "--json", "--config", config).stdout)]
    assert [(entry["number"], entry["layer"]) for entry in numbered] == list(enumerate(layers, 1))
    assert len(layers) > 3
    number = 3
    result = deepdream("dream", "photo.jpg", "--pick", str(number), "--config", config)
    assert result.exit_code == 0, result.stderr
    dream = Path(result.stdout.strip())
    by_name = deepdream("dream", "photo.jpg", "-r", "atlas", "-s", f"atlas.pick={number}", "--config", config)
    with Image.open(dream) as one, Image.open(by_name.stdout.strip()) as other:
        assert one.size == (200, 120), "what is picked is dreamt in full"
        assert np.array_equal(one, other)
    recipe = told(dream)["recipe"]
    assert recipe["objective"]["layer"] == layers[number - 1]
    assert "atlas" not in recipe


def test_the_sheet_shows_for_each_layer_what_a_dream_of_the_small_photo_is(tmp_path: Path, config: Path) -> None:
    """A cell is the dream of that layer alone, whatever else is dreamt beside it."""
    photo(tmp_path / "photo.png", width=64, height=64)
    assert deepdream("dream", "photo.png", "-r", "atlas", "-s", "seed=1", "--config", config).exit_code == 0
    shown = cells(tmp_path / "photo.atlas.png")
    assert len({cell.tobytes() for cell in shown}) > 1
    for number, cell in enumerate(shown, 1):
        args = ("--pick", str(number), "-s", "seed=1", "--config", config)
        with Image.open(deepdream("dream", "photo.png", *args).stdout.strip()) as alone:
            assert np.array_equal(np.asarray(alone), cell), number


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (128, 96)])
def test_below_a_wide_photo_there_is_no_gap(tmp_path: Path, config: Path, width: int, height: int) -> None:
    """Rows are as high as the photo in its cell of 64 pixels, two lines of 15, and gaps."""
    photo(tmp_path / "photo.png", width=width, height=height)
    assert deepdream("dream", "photo.png", "-r", "atlas", "--config", config).exit_code == 0
    rows = -(-len(told(tmp_path / "photo.atlas.png")["atlas"]) // 3)
    with Image.open(tmp_path / "photo.atlas.png") as sheet:
        assert sheet.height == 33 + rows * (min(height, 64 if height > width else 48) + 2 * 15 + 2 * 6) + 6


def test_layers_that_are_named_are_numbered_in_their_order(tmp_path: Path, config: Path) -> None:
    photo(tmp_path / "photo.jpg", width=80, height=64)
    layers = [row["name"] for row in json.loads(deepdream("layers", "shapes", "--json", "--config", config).stdout)]
    wanted = f'atlas.layers=["{layers[3]}", "{layers[0]}"]'
    result = deepdream("dream", "photo.jpg", "-r", "atlas", "-s", wanted, "--config", config)
    assert result.exit_code == 0, result.stderr
    assert [entry["layer"] for entry in told(tmp_path / "photo.atlas.png")["atlas"]] == [layers[3], layers[0]]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--pick", "99"), "pick: the sheet has no number 99; choose one from 1 to"),
        (("-s", "atlas.layers=c9"), "layers: unknown layer 'c9'"),
        (("-s", "atlas.cells=9"), "unknown option of atlas 'cells'"),
        (("-s", "objective=class_logit", "-s", "objective.label=disc"), "one layer after the other"),
        (("-s", "journey.zoom=1.1"), "either an atlas or a journey"),
    ],
)
def test_mistakes_in_an_atlas_are_named(args: tuple[str, ...], says: str, tmp_path: Path, config: Path) -> None:
    photo(tmp_path / "photo.jpg", width=64, height=64)
    result = deepdream("dream", "photo.jpg", "-r", "atlas", *args, "--config", config)
    assert says in result.stderr
    assert result.exit_code != 0
    assert not list(tmp_path.glob("photo.atlas*"))


def test_a_layer_that_the_recipe_does_not_suit_is_empty_and_says_why(tmp_path: Path, config: Path) -> None:
    """The first layers have 8 channels, so they have no channel 20; the others are dreamt."""
    photo(tmp_path / "photo.jpg", width=64, height=64)
    channel = ("-s", "objective=channel", "-s", "objective.channel=20")
    result = deepdream("dream", "photo.jpg", "-r", "atlas", *channel, "--config", config)
    assert result.exit_code == 0, result.stderr
    numbered = told(tmp_path / "photo.atlas.png")["atlas"]
    assert "channel" in numbered[0]["why"]
    assert "why" not in numbered[-1]
    none = ("-s", "objective=channel", "-s", "objective.channel=9999")
    result = deepdream("dream", "photo.jpg", "-r", "atlas", *none, "--config", config)
    assert result.exit_code == 1
    assert "9999" in result.stderr


def test_a_transparent_photo_its_mask_and_its_filters_are_those_of_the_recipe(tmp_path: Path, config: Path) -> None:
    path = photo(tmp_path / "photo.png", width=64, height=64)
    with Image.open(path) as opened:
        opaque = opened.convert("RGBA")
    opaque.putalpha(Image.linear_gradient("L").resize((64, 64)))
    opaque.save(path)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 0, 64, 64))
    mask.save(tmp_path / "photo.mask.png")
    result = deepdream("dream", "photo.png", "-r", "atlas", "--config", config)
    assert result.exit_code == 0, result.stderr
    first, *_, last = (cell.astype(int) for cell in cells(tmp_path / "photo.atlas.png"))
    left, right = (np.abs(first - last)[:, half].max() for half in (slice(2, 28), slice(34, 62)))
    assert left == 0, "what the mask keeps is the same at all layers"
    assert right > 0


def test_a_sheet_is_dreamt_again_equal_to_the_pixel(tmp_path: Path, config: Path) -> None:
    photo(tmp_path / "photo.jpg", width=100, height=64)
    sheet = deepdream("dream", "photo.jpg", "-r", "atlas", "--config", config).stdout.strip()
    result = deepdream("redream", sheet, "--config", config)
    assert result.exit_code == 0, result.stderr
    assert "equal to the pixel" in result.stdout + result.stderr


def test_a_clip_has_no_atlas(tmp_path: Path, config: Path) -> None:
    pytest.importorskip("av")
    frames = [Image.new("RGB", (32, 32), (level, 90, 20)) for level in (0, 80, 160)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=40)
    result = deepdream("dream", "clip.gif", "-r", "atlas", "--config", config)
    assert result.exit_code == 2, result.stderr
    assert "an atlas is a sheet of one photo" in result.stderr

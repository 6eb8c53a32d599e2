"""A dream is made again from what its file tells, with the settings and weights that its pixels depend on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from deepdream_plugins.builtin import dreamnet
from tests.corpus import scene
from tests.daemon.cli import QUICK, deepdream, nowhere

__all__ = ["nowhere"]


def photo(path: Path, width: int = 200, height: int = 150) -> Path:
    Image.fromarray(scene(1, width, height)).save(path)
    return path


def test_the_tiles_are_those_that_it_was_made_with(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[engine]\ntile_px = 128\n")
    photo(tmp_path / "photo.png")
    assert deepdream("dream", "photo.png", *QUICK).exit_code == 0
    (tmp_path / "config.toml").unlink()
    result = deepdream("redream", "photo.classic.png")
    assert result.exit_code == 0, result.stderr
    assert "equal to the pixel" in result.stderr
    # The tiles do matter: with others it is another dream.
    deepdream("dream", "photo.png", "-o", "whole", *QUICK)
    with Image.open("whole/photo.classic.png") as whole, Image.open("photo.classic.png") as tiled:
        assert whole.tobytes() != tiled.tobytes()


@pytest.mark.parametrize("kept", ["beside the configuration", "named", "nowhere"])
def test_a_file_of_weights_is_found_or_asked_for(tmp_path: Path, kept: str) -> None:
    weights = tmp_path / "far" / "mine.safetensors"
    weights.parent.mkdir()
    shutil.copy(dreamnet.WEIGHTS, weights)
    photo(tmp_path / "photo.png", 64, 64)
    made = deepdream("dream", "photo.png", *QUICK, "--set", 'model={name="dreamnet", weights="far/mine.safetensors"}')
    assert made.exit_code == 0, made.stderr
    options: tuple[str, ...] = ()
    if kept == "named":
        options = ("--weights", str(weights.rename(tmp_path / "far" / "renamed.safetensors")))
    elif kept == "beside the configuration":
        weights.rename(tmp_path / "mine.safetensors")
    else:
        weights.unlink()
    result = deepdream("redream", "photo.classic.png", *options)
    if kept == "nowhere":
        assert result.exit_code != 0
        assert "'mine.safetensors', were not found" in result.stderr
        assert "--weights FILE" in result.stderr
    else:
        assert result.exit_code == 0, result.stderr
        assert "equal to the pixel" in result.stderr

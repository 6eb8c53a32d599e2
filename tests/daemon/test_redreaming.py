"""A dream is made again from what its file tells, with the settings and weights that its pixels depend on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.oneshot.redreaming import Original, recipe_of, settings_of
from deepdream_engine.pictures import read_provenance
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
    made = read_provenance(Path("photo.classic.redream.png").read_bytes())
    assert made is not None
    assert made["engine"]["tile_px"] == 128  # type: ignore[index]
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


def mask(path: Path, side: int) -> Path:
    picture = Image.new("L", (200, 150), 0)
    picture.paste(255, (0, 0, side, 150))
    picture.save(path)
    return path


def test_a_dream_with_a_mask_is_made_again_with_just_that_mask(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    used = mask(tmp_path / "photo.mask.png", 100)
    made = deepdream("dream", "photo.png", *QUICK)
    assert made.exit_code == 0, made.stderr
    told = read_provenance((tmp_path / "photo.classic.png").read_bytes())
    assert told is not None
    assert told["companions"]["mask"]["name"] == "photo.mask.png"  # type: ignore[index]
    again = deepdream("redream", "photo.classic.png")
    assert "equal to the pixel" in again.stderr, again.stderr
    mask(used, 50)
    changed = deepdream("redream", "photo.classic.png")
    assert changed.exit_code == 2
    assert "the mask of 'photo.classic.png', 'photo.mask.png' with the SHA-256" in changed.stderr
    assert "(another content)" in changed.stderr
    used.unlink()
    gone = deepdream("redream", "photo.classic.png")
    assert "(no such file or directory)" in gone.stderr
    assert "Put it back there." in gone.stderr


def test_a_dream_without_a_mask_is_made_again_without_the_one_that_came_since(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    assert deepdream("dream", "photo.png", *QUICK).exit_code == 0
    mask(tmp_path / "photo.mask.png", 100)
    again = deepdream("redream", "photo.classic.png")
    assert "equal to the pixel" in again.stderr, again.stderr


def test_the_precision_is_the_one_that_it_was_made_with(tmp_path: Path) -> None:
    original = Original(
        path=tmp_path / "dream.png",
        data=b"",
        recipe={"name": "classic", "model": {"name": "dreamnet"}, "precision": "bf16"},
        seed=1,
        source_name="photo.png",
        source_sha256="",
        key="",
        weights_sha256="",
        version="",
        engine={"precision": "fp32", "tile_px": 384},
        companions={},
    )
    settings = Settings(path=None, state=tmp_path)
    assert recipe_of(original, None, settings)["precision"] == "fp32"
    assert settings_of(original, settings).engine.tile_px == 384

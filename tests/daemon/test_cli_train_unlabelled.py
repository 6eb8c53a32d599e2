"""Photos in no sub-folder become a model without classes; models whose names are taken are named and left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from deepdream_engine.training.card import CARD, WEIGHTS
from tests.corpus import scene
from tests.daemon.cli import QUICK, deepdream, nowhere
from tests.daemon.test_cli_train import SHORT, models
from tests.engine.teaching import pictures

__all__ = ["nowhere"]

QUICKLY = ("--set", "stages.0.epochs=1", "--set", "stages.0.side_px=32", "--set", "batch=8", "--device", "cpu")


def album(folder: Path, photos: int = 20) -> Path:
    folder.mkdir()
    for seed in range(photos):
        Image.fromarray(scene(seed)).save(folder / f"{seed}.png")
    return folder


def test_photos_in_no_sub_folder_become_a_model_that_dreams_and_may_learn_classes(tmp_path: Path) -> None:
    result = deepdream("train", album(tmp_path / "album"), *QUICKLY)
    assert result.exit_code == 0, result.stderr
    assert "no classes; pictures: 14 to learn from, 4 held out" in result.stderr
    assert "held-out pictures are known again in another view" in result.stdout
    assert "It knows no classes" in result.stdout
    state = load_file(models(tmp_path) / "album" / WEIGHTS)
    assert not any(len(value.shape) == 2 for value in state.values())  # the classifier is gone
    known = {each["name"]: each for each in json.loads(deepdream("models", "--json").stdout)}
    assert "without classes" in known["album"]["help"]

    Image.fromarray(scene(1)).save(tmp_path / "photo.png")
    dream = deepdream("dream", tmp_path / "photo.png", "--set", "model=album", *QUICK)
    assert dream.exit_code == 0, dream.stderr
    for command in (("classes", "album"), ("evaluate", "album", tmp_path / "album")):
        result = deepdream(*command)
        assert (result.exit_code, "does not name its classes" in result.stderr) == (2, True)
    inspected = deepdream("inspect", "album", "--class", "3")
    assert (inspected.exit_code, "--class: '3': model 'album' has no classes" in inspected.stderr) == (2, True)
    assert not list(tmp_path.glob("*.inspect"))

    sorted_in = pictures(tmp_path / "sorted", each=5, side=40)
    result = deepdream("train", sorted_in, *SHORT, "--model", "album")
    assert result.exit_code == 0, result.stderr
    told = json.loads((models(tmp_path) / "sorted" / CARD).read_text())
    assert (told["architecture"], told["base"], len(told["classes"])) == ("dreamnet", "album", 3)
    assert (
        deepdream("dream", tmp_path / "photo.png", "-o", tmp_path / "2", "--set", "model=sorted", *QUICK).exit_code == 0
    )


def test_a_model_whose_name_another_plugin_has_is_named_and_the_others_stay(tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", each=5, side=40)
    for name in ("mine", "other"):
        assert deepdream("train", photos, "--name", name, *SHORT).exit_code == 0
    config = tmp_path / "config.toml"
    config.write_text('[models.mine]\ntorchvision = "squeezenet1_1"\n')
    known = {each["name"]: each for each in json.loads(deepdream("models", "--json", "--config", config).stdout)}
    assert known["other"]["owner"] == "trained"
    assert known["mine"]["owner"] != "trained"
    checked = deepdream("config", "check", "--config", config)
    assert checked.exit_code == 0, checked.stderr
    assert "models/mine' is left out, since the plugin" in checked.stderr
    assert "rename the folder" in " ".join(deepdream("plugins", "--config", config).stdout.split())
    refused = deepdream("train", photos, "--name", "mine", "--replace", "--config", config, *SHORT)
    assert (refused.exit_code, "has a model of that name" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_the_embedded_model_knows_pictures_again_better_than_before(tmp_path: Path) -> None:
    settings = ("--set", "stages.0.epochs=12", "--set", "batch=32", "--device", "cpu", "--set", "held_out=0.4")
    result = deepdream("train", album(tmp_path / "album", 160), *settings)
    assert result.exit_code == 0, result.stderr
    card = json.loads((models(tmp_path) / "album" / CARD).read_text())
    assert card["right"] > card["right_before"], (card["right"], card["right_before"], card["held_out"])

"""``deepdream evaluate``: published figures come out, and mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.assets import asset
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.test_cli_train import SHORT
from tests.engine.teaching import content, pictures

__all__ = ["nowhere"]


@pytest.fixture
def fish(tmp_path: Path) -> Path:
    for name in ("goldfish", "n01641577"):
        (tmp_path / "fish" / name).mkdir(parents=True)
        for seed in range(2):
            (tmp_path / "fish" / name / f"{seed}.png").write_bytes(content("plain", seed, side=64))
    (tmp_path / "fish" / "goldfish" / "cut.png").write_bytes(content("plain", 1, side=64)[:-30])
    return tmp_path / "fish"


def test_it_counts_pictures_by_name_and_number_of_their_class(fish: Path) -> None:
    told = json.loads(deepdream("evaluate", "dreamnet", fish, "--json", "--robust", "0.5").stdout)
    assert (told["pictures"], told["side_px"], told["robust_of"]) == (4, 64, 4)
    assert [name.split(",")[0] for name in told["classes"]] == ["goldfish", "bullfrog"]
    assert [each["file"] for each in told["left_out"]] == ["goldfish/cut.png"]
    assert sum(each["times"] for each in told["mistakes"]) == 4 - told["right"]
    shown = deepdream("evaluate", "dreamnet", fish)
    assert "chance    0.5% and 2.5%" in shown.stdout
    assert "left out  1 files, such as goldfish/cut.png" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dreamnet", "nowhere"), "does not exist"),
        (("dreamnt", "fish"), "Did you mean 'dreamnet'"),
        (("dreamnet", "fish", "--side", "16"), "needs 32 pixels"),
        (("dreamnet", "fish", "--side", "64", "--resize", "48"), "does not fit"),
        (("dreamnet", "fish", "--weights", "fish/goldfish/0.png"), "cannot be read"),
        (("dreamnet", "strange"), "the sub-folder 'unicorn' names none of the 200 classes"),
        (("dreamnet", "empty"), "has no pictures with a class"),
        (("dreamnet", "torn"), "no picture could be read: goldfish/1.png: "),
        (("dreamnet", "torn", "--json"), "no picture could be read: goldfish/1.png: "),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path: Path, fish: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "strange" / "unicorn").mkdir(parents=True)
    (tmp_path / "strange" / "unicorn" / "1.png").write_bytes(content("plain", 1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn" / "goldfish").mkdir(parents=True)
    (tmp_path / "torn" / "goldfish" / "1.png").write_bytes(content("plain", 1, side=64)[:-30])
    result = deepdream("evaluate", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_pictures_that_a_model_has_learnt_are_told_of(tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", each=5, side=40)
    (photos / "down" / "again.png").write_bytes(content("down", 0, side=40))
    (photos / "down" / "cut.png").write_bytes(content("down", 1, side=40)[:-30])
    trained = deepdream("train", photos, *SHORT)
    assert trained.exit_code == 0, trained.stderr
    told = json.loads(deepdream("evaluate", "photos", photos, "--json").stdout)
    known = told["taught_with_these"]
    assert (told["pictures"], known["learnt_from"], known["held_out"]) == (16, 12, 3)
    shown = deepdream("evaluate", "photos", photos)
    right = known["right_of_held_out"]
    assert "learnt from  12 of these very pictures, so it does better here than on others" in shown.stdout
    assert f"of 3 that were held out it recognised {right}, {right / 3:.1%}" in shown.stdout

    own = tmp_path / "user-data" / "models" / "photos" / "weights.safetensors"
    other = json.loads(deepdream("evaluate", "photos", photos, "--weights", own, "--json").stdout)
    assert other["taught_with_these"] is None, "whose weights those are is not known"
    elsewhere = pictures(tmp_path / "others", each=3, first=20, side=40)
    assert json.loads(deepdream("evaluate", "photos", elsewhere, "--json").stdout)["taught_with_these"] is None
    assert "learnt from" not in deepdream("evaluate", "photos", elsewhere).stdout


@pytest.mark.parametrize(
    "command",
    [
        ("dream", "photo.png", "--set", "model=mine"),
        ("atlas", "mine"),
        ("inspect", "mine", "--class", "goldfish"),
        ("evaluate", "mine", "fish"),
        ("train", "fish", "--model", "mine"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_names_the_architecture_of_weights_that_do_not_fit(
    tmp_path: Path, fish: Path, command: tuple[str, ...]
) -> None:
    import torch
    import torchvision

    torch.save(torchvision.models.squeezenet1_0().state_dict(), tmp_path / "w.pt")
    config = tmp_path / "config.toml"
    config.write_text('[models.mine]\ntorchvision = "squeezenet1_1"\nweights = "w.pt"\nclasses = "imagenet"\n')
    (tmp_path / "photo.png").write_bytes(content("plain", 1, side=64))
    (fish / "n01641577").rename(fish / "bullfrog")
    for seed in range(2, 5):
        for name in ("goldfish", "bullfrog"):
            (fish / name / f"{seed}.png").write_bytes(content("plain", seed, side=64))
    result = deepdream(*command, "--config", config)
    assert result.exit_code in (1, 2), result.stderr
    assert "config.toml:3: models.mine.weights: " in result.stderr
    assert "it lacks features.6.squeeze.weight" in result.stderr
    assert "They look like those of 'squeezenet1_0': 100%" in result.stderr


@pytest.mark.slow
def test_squeezenet_recognises_as_many_photos_as_it_does_elsewhere() -> None:
    photos, weights = asset("photos/labelled"), asset("models/squeezenet1_0.pt")
    how = ("--weights", weights, "--side", "227", "--resize", "256", "--json")
    told = json.loads(deepdream("evaluate", "squeezenet1_0", photos, *how).stdout)
    assert (told["pictures"], told["right"], told["right_among_five"]) == (200, 116, 167)


@pytest.mark.slow
def test_the_embedded_model_recognises_what_its_card_says() -> None:
    told = json.loads(deepdream("evaluate", "dreamnet", asset("data/val.zip"), "--json").stdout)
    assert told["pictures"] == 10_000
    assert told["right"] == pytest.approx(3396, abs=5)
    assert told["right_among_five"] == pytest.approx(6168, abs=5)

"""``deepdream train``: a folder becomes a model, which all that names models has at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.assembly import assemble
from deepdream_engine.training.card import CARD, WEIGHTS
from tests.corpus import scene
from tests.daemon.cli import COMMAND, ENVIRONMENT, QUICK, deepdream, nowhere
from tests.daemon.reloads import FOLDER, Reloadable
from tests.daemon.stub import wait_until
from tests.engine.teaching import KINDS, content, pictures

__all__ = ["nowhere"]

SHORT = ("--recipe", "finetune", "--set", "stages.0.epochs=1", "--set", "stages.0.side_px=32", "--device", "cpu")


def models(tmp_path: Path) -> Path:
    return tmp_path / "user-data" / "models"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures(tmp_path / "my photos", each=5, side=40)


def test_a_folder_becomes_a_model_that_dreams(tmp_path: Path, photos: Path) -> None:
    result = deepdream("train", photos, *SHORT)
    assert result.exit_code == 0, result.stderr
    card = models(tmp_path) / "my-photos" / CARD
    lines = result.stdout.splitlines()
    assert lines[0] == str(card)
    assert "of 3 held-out pictures are recognised" in lines[1]
    assert "fewer than 20 pictures: across (4), down (4), plain (4)" in result.stdout
    assert lines[-1] == "Use it: deepdream dream PHOTO --set model=my-photos"
    assert "3 classes; pictures: 12 to learn from, 3 held out" in result.stderr
    assert "epoch 1/1, 32 px: loss" in result.stderr

    known = {each["name"]: each for each in json.loads(deepdream("models", "--json").stdout)}
    assert known["my-photos"]["owner"] == "trained"
    assert [each["name"] for each in json.loads(deepdream("classes", "my-photos", "--json").stdout)] == list(KINDS)
    layers = [each["name"] for each in json.loads(deepdream("layers", "my-photos", "--json").stdout)]
    assert layers[:3] == ["conv1", "conv2", "pool2"]

    from PIL import Image

    Image.fromarray(scene(1)).save(tmp_path / "photo.png")
    dream = deepdream("dream", tmp_path / "photo.png", "--set", "model=my-photos", *QUICK)
    assert dream.exit_code == 0, dream.stderr
    of_class = ("objective.name=class_logit", "objective.label=down", "octaves=1", "steps=1")
    settings = [part for each in of_class for part in ("--set", each)]
    dream = deepdream("dream", tmp_path / "photo.png", "-o", tmp_path / "out", "--set", "model=my-photos", *settings)
    assert dream.exit_code == 0, dream.stderr

    judged = json.loads(deepdream("evaluate", "my-photos", photos, "--json").stdout)
    assert (judged["pictures"], judged["side_px"]) == (15, 32)
    again = deepdream("train", photos, *SHORT)
    assert (again.exit_code, "--replace" in again.stderr) == (2, True)
    further = deepdream("train", photos, *SHORT, "--model", "my-photos", "--name", "further")
    assert further.exit_code == 0, further.stderr
    told = json.loads((models(tmp_path) / "further" / CARD).read_text())
    assert (told["architecture"], told["base"]) == ("dreamnet", "my-photos")


def test_a_model_lies_beside_the_configuration_and_a_running_daemon_has_it_after_a_reload(
    tmp_path: Path, photos: Path
) -> None:
    with Reloadable(tmp_path) as daemon:
        result = deepdream("train", photos, "--name", "mine", "--config", daemon.config, *SHORT)
        assert result.exit_code == 0, result.stderr
        assert (tmp_path / "models" / "mine" / CARD).exists()
        former = daemon.daemon
        daemon.config.write_text(
            FOLDER.replace('"out"', '"out"\nrecipe = "stripes"')
            + '[daemon]\nsettle_seconds = 0.1\n[recipes.stripes]\nbase = "classic"\nmodel = "mine"\n'
        )
        wait_until(lambda: len(daemon.renderers) > 1)
        assert former is daemon.daemon
    assert assemble(daemon.config).book.resolve("stripes").model.spec.name == "mine"


def test_a_model_whose_files_are_damaged_is_listed_and_says_why_when_it_is_used(tmp_path: Path, photos: Path) -> None:
    assert deepdream("train", photos, "--name", "good", *SHORT).exit_code == 0
    broken = models(tmp_path) / "broken"
    broken.mkdir()
    (broken / CARD).write_text("{}")
    (models(tmp_path) / "unfinished").mkdir()
    known = {each["name"]: each for each in json.loads(deepdream("models", "--json").stdout)}
    assert "cannot be used" in known["broken"]["help"]
    assert "good" in known
    assert "unfinished" not in known
    result = deepdream("layers", "broken")
    assert (result.exit_code, "is no card of a taught model" in result.stderr) == (2, True)
    (models(tmp_path) / "good" / WEIGHTS).write_bytes(b"damaged")
    result = deepdream("evaluate", "good", photos)
    assert (result.exit_code, "safetensors' cannot be read" in result.stderr) == (2, True)


def test_a_model_that_was_taught_anew_is_another_to_recipes(tmp_path: Path, photos: Path) -> None:
    assert deepdream("train", photos, "--name", "it", *SHORT).exit_code == 0
    before = assemble().catalogue.models["it"].spec.identity
    assert before is not None
    told = before()
    assert deepdream("train", photos, "--name", "it", "--replace", *SHORT, "--set", "seed=3").exit_code == 0
    assert before() != told


def test_models_within_reach_of_a_watched_folder_are_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "out").mkdir()
    config = tmp_path / "config.toml"
    config.write_text('[[folders]]\ninput = "models"\noutput = "out"\n')
    (tmp_path / "models").mkdir()
    result = deepdream("train", photos, "--name", "it", "--config", config, *SHORT)
    assert (result.exit_code, "watched folder" in result.stderr) == (2, True)
    config.write_text("")
    assert deepdream("train", photos, "--name", "it", "--config", config, *SHORT).exit_code == 0
    config.write_text('[[folders]]\ninput = "models"\noutput = "out"\n')
    result = deepdream("layers", "it", "--config", config)
    assert (result.exit_code, "watched folder" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "does not exist"),
        (("my photos", "--name", "dreamnet"), "has a model of that name"),
        (("my photos", "--name", "a/b"), "use letters"),
        (("my photos", "--model", "dremnet"), "Did you mean 'dreamnet'"),
        (("my photos", "--recipe", "dreamnet", "--model", "vgg16"), "is for the model 'dreamnet'"),
        (("my photos", "--recipe", "dreamnet", "--weights", "notes.pt"), "begins with random weights"),
        (("my photos", "--weights", "notes.pt"), "cannot be read"),
        (("my photos", "--weights", "gone.pt"), "there is no file"),
        (("my photos", "--set", "batch=0"), "not between"),
        (("my photos", "--device", "cuda:77"), "not on this machine"),
        (("my photos/down",), "has 5 pictures without labels, too few"),
        (("my photos/down", "--recipe", "finetune"), "no sub-folder with pictures"),
    ],
)
def test_mistakes_are_told_in_a_line_and_leave_no_model(
    tmp_path: Path, photos: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "notes.pt").write_text("no model")
    result = deepdream("train", *arguments)
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert not list(tmp_path.rglob(CARD))


def test_weights_of_another_network_name_the_nearest_one(tmp_path: Path, photos: Path) -> None:
    import torch
    import torchvision

    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "weights.pt")
    result = deepdream("train", photos, "--weights", tmp_path / "weights.pt")
    assert result.exit_code == 2
    assert "it lacks conv1.conv.weight" in result.stderr
    assert "it has unknown features.0.weight" in result.stderr
    assert "They look like those of 'squeezenet1_1': 100%" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_goes_on(tmp_path: Path, number: int) -> None:
    photos = pictures(tmp_path / "photos", each=30, side=40)
    command = [*COMMAND, "train", str(photos), "--name", "it", *SHORT, "--set", "stages.0.epochs=400"]
    environment = {**ENVIRONMENT, "XDG_DATA_HOME": str(tmp_path / "data")}
    folder = tmp_path / "data" / "deepdream" / "models" / "it"
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_until((folder / "training" / "last.ckpt").exists, 60)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert number == signal.SIGKILL or "the same command goes on with it" in said
    assert not (folder / CARD).exists()
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert second.stderr is not None
    lines = [second.stderr.readline() for _ in range(3)]
    second.kill()
    second.communicate()
    assert any("going on at step" in line for line in lines), lines


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("helpers", [("--workers", "2"), ("--workers", "1", "--devices", "2")])
def test_a_signal_to_all_processes_keeps_what_is_learnt(tmp_path: Path, number: int, helpers: tuple[str, ...]) -> None:
    """As Ctrl-C in a terminal, or a service manager that ends a unit."""
    photos = pictures(tmp_path / "photos", each=30, side=40)
    command = [*COMMAND, "train", str(photos), "--name", "it", *SHORT, "--set", "stages.0.epochs=4000", *helpers]
    restart = ["--restart"] if "--devices" in helpers else []  # which those that help are started with as well
    environment = {**ENVIRONMENT, "XDG_DATA_HOME": str(tmp_path / "data")}
    folder = tmp_path / "data" / "deepdream" / "models" / "it"
    begun = [*command, *restart]
    process = subprocess.Popen(begun, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_until((folder / "training" / "last.ckpt").exists, 100)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], said
    assert said.count(f"the same command{' without --restart' if restart else ''} goes on with it") == 1
    assert "Traceback" not in said
    assert "defect" not in said
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert second.stderr is not None
        assert any("going on at step" in line for line in second.stderr)
    finally:
        os.killpg(second.pid, signal.SIGKILL)
        second.communicate()


@pytest.mark.slow
def test_several_devices_learn_together(tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", each=10, side=40)
    (photos / "down" / "x.png").write_bytes(content("down", 77))
    command = [*COMMAND, "train", str(photos), "--name", "it", *SHORT, "--devices", "2", "--set", "batch=8"]
    environment = {**ENVIRONMENT, "XDG_DATA_HOME": str(tmp_path / "data")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("held-out pictures are recognised") == 1
    assert result.stderr.count("it: reading: ") == 1, "one of them tells of it"
    assert "find_unused_parameters" not in result.stderr
    assert (tmp_path / "data" / "deepdream" / "models" / "it" / CARD).exists()

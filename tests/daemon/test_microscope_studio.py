"""What ``atlas`` and ``inspect`` have in common: the network as it is now, its classes, the noise they draw from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.microscope.studio import Studio, Subject, seed_of
from deepdream_engine.microscope.eyes import Eyes
from deepdream_engine.records import Dream
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.microscope_networks import Shapes, configured, with_a_channel_of_strong_contrast

__all__ = ["nowhere"]

QUICK = ("--size", "32", "--set", "steps=2")
ATLAS = ("atlas", "shapes", "--layers", "c1", "--channels", "2", *QUICK)
INSPECT = ("inspect", "shapes", "--channel", "c1:0", "--pictures", "2", *QUICK)


@pytest.mark.parametrize("command", [ATLAS, INSPECT])
def test_a_network_that_has_been_trained_further_is_not_mixed_with_what_it_was(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    config = configured(tmp_path / "own", None, "from_a_checkpoint")
    args = (*command, "--config", config, "-o", "made")
    save_file(Shapes(width=4).state_dict(), "best.safetensors")
    assert deepdream(*args).exit_code == 0
    before = {path: path.read_bytes() for path in sorted((tmp_path / "made").rglob("*")) if path.is_file()}
    assert deepdream(*args).exit_code == 0, "the same weights go on with it"
    save_file(Shapes(width=4).state_dict(), "best.safetensors")
    result = deepdream(*args)
    assert result.exit_code == 2
    assert "was made with other weights" in result.stderr
    assert "-o FOLDER" in result.stderr
    assert {path: path.read_bytes() for path in sorted((tmp_path / "made").rglob("*")) if path.is_file()} == before
    assert deepdream(*args[:-1], "another").exit_code == 0


def test_a_channel_that_sees_only_strong_contrast_is_drawn_by_both(tmp_path: Path) -> None:
    config = configured(tmp_path / "own", with_a_channel_of_strong_contrast(), "with_a_channel_of_strong_contrast")
    result = deepdream(*ATLAS[:4], "--channels", "all", *QUICK, "--config", config, "--json")
    assert result.exit_code == 0, result.stderr
    (layer,) = json.loads(result.stdout)["layers"]
    assert (layer["silent"], layer["channels"][0]["number"]) == ([], 0)
    inspected = deepdream(*INSPECT, "--config", config, "--json")
    assert inspected.exit_code == 0, inspected.stderr
    assert len(json.loads(inspected.stdout)["pictures"]) == 2


def test_a_network_without_class_names_has_pictures_of_its_classes(tmp_path: Path) -> None:
    config = configured(tmp_path / "own", Shapes())
    text = config.read_text()
    config.write_text("".join(line + "\n" for line in text.splitlines() if not line.startswith("classes")))
    args = ("atlas", "shapes", "--layers", "logits", "--channels", "all", *QUICK, "--config", config, "--json")
    result = deepdream(*args)
    assert result.exit_code == 0, result.stderr
    (layer,) = json.loads(result.stdout)["layers"]
    assert layer["total"] == 5
    assert [channel["name"] for channel in layer["channels"]] == [f"class {number}" for number in range(5)]


@pytest.mark.timeout(300)
def test_the_pictures_of_channels_that_are_silent_in_faint_noise_excite_them_most() -> None:
    studio = Studio(assemble(None), "dreamnet", 128)
    for layer, numbers in (("conv1", (11, 31)), ("conv2", (8, 20, 63))):
        subjects = [Subject(layer=layer, number=number, name="") for number in numbers]
        drawn = dict(studio.dream(studio.job(subject, seed_of("", subject)) for subject in subjects))
        dreams = [dream for _, dream in sorted(drawn.items()) if isinstance(dream, Dream)]
        assert len(dreams) == len(numbers), drawn
        pictures = torch.stack([dream.pixels for dream in dreams])
        seen = Eyes(studio.engine, studio.network, (layer,)).means(pictures)[layer][:, list(numbers)]
        assert seen.argmax(0).tolist() == list(range(len(numbers))), seen

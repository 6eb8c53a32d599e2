"""What `deepdream layers` says of a network of one's own."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from deepdream_daemon.commands import main


def layers(folder: Path, *more: str) -> str:
    config = folder / "config.toml"
    config.write_text('[models.mine]\nbuilder = "tests.plugins.own_networks:small"\n')
    result = CliRunner().invoke(main, ["layers", "mine", "--config", str(config), *more])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_what_its_layers_show_is_said_to_be_a_guess(tmp_path: Path) -> None:
    assert "tends to show (a guess by its depth)" in layers(tmp_path)
    assert all(layer["guessed"] for layer in json.loads(layers(tmp_path, "--json")))
    known = CliRunner().invoke(main, ["layers", "dreamnet"]).stdout
    assert "tends to show\n" in known
    assert "guess" not in known


def test_the_layer_to_use_is_one_of_the_list(tmp_path: Path) -> None:
    said = layers(tmp_path)
    assert "--set objective.layer=stages.1\n" in said
    assert "middle" not in said

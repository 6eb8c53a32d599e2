"""``deepdream config``: all mistakes at once, the schema for editors, and what every key means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepdream_daemon.configuration.schema import DIRECTIVE, FILE
from deepdream_daemon.configuration.settings import TABLES, keys_in
from tests.daemon.cli import deepdream, nowhere

__all__ = ["nowhere"]


def test_a_right_configuration_is_called_right(tmp_path: Path) -> None:
    deepdream("init")
    result = deepdream("config", "check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "config.toml is right. Watched folders: 1. Recipes of your own: 0.\n"


def test_every_broken_recipe_and_missing_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[[folders]]\ninput = "nowhere"\noutput = "out"\n[recipes.a]\noctavs = 3\n[recipes.b]\nsteps = 0\n'
    )
    result = deepdream("config", "check")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "config.toml:5: recipes.a.octavs" in lines[0]
    assert "config.toml:7: recipes.b.steps" in lines[1]
    assert "config.toml:2: folders[0].input" in lines[2]


def test_what_ends_the_reading_is_told_as_everywhere(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[daemon]\nsettle_second = 1\n")
    result = deepdream("config", "check")
    assert result.exit_code == 2
    assert "config.toml:2: daemon.settle_second" in result.stderr


def test_a_failed_plugin_and_a_stale_schema_are_noted(tmp_path: Path) -> None:
    deepdream("init")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken.py").write_text("import nothing_of_this_name\n")
    path = tmp_path / "config.toml"
    path.write_text(path.read_text().replace('# folder = "plugins"', 'folder = "mine"') + "[recipes.mine]\n")
    result = deepdream("config", "check")
    assert result.exit_code == 0
    assert "the plugin 'broken' has failed" in result.stderr
    assert "nothing_of_this_name" in result.stderr
    assert "deepdream config schema --write" in result.stderr
    assert deepdream("config", "schema", "--write").exit_code == 0
    assert "config schema" not in deepdream("config", "check").stderr


@pytest.mark.parametrize("args", [("check",), ("schema", "--write")])
def test_without_a_configuration_the_way_to_one_is_told(args: tuple[str, ...]) -> None:
    result = deepdream("config", *args)
    assert result.exit_code == 2
    assert "there is no configuration" in result.stderr
    assert "deepdream init" in result.stderr


def test_the_schema_is_printed_without_a_configuration_too() -> None:
    schema = json.loads(deepdream("config", "schema").stdout)
    assert "recipes" in schema["properties"]


def test_a_schema_is_written_beside_the_file_which_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "config.toml"
    path.write_text("[recipes.mine]\n")
    result = deepdream("config", "schema", "--write", "--config", path)
    assert result.exit_code == 0
    assert str(path.with_name(FILE)) in result.stdout
    assert f"be: {DIRECTIVE}" in result.stdout
    assert path.read_text() == "[recipes.mine]\n"
    bases = json.loads(path.with_name(FILE).read_text())["$defs"]["recipe"]["properties"]["base"]
    assert "mine" in bases["anyOf"][0]["enum"]
    path.write_text(f"{DIRECTIVE}\n[recipes.mine]\n")
    assert DIRECTIVE not in deepdream("config", "schema", "--write", "--config", path).stdout


def test_every_key_is_explained_within_80_columns() -> None:
    result = deepdream("config", "keys")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    words = " ".join(result.stdout.split())
    for table in TABLES:
        for key in keys_in(table):
            assert f"{key.name} {key.help}"[:40] in words, key.name
    assert '["auto" or a whole number, from 1 to 1024; default: "auto"]' in words
    assert "[[folders]]" in result.stdout
    assert "[models.NAME]" in result.stdout
    assert "octave_scale" in result.stdout


def test_one_table_is_explained_and_another_is_answered_with_the_nearest() -> None:
    assert "tile_px" in deepdream("config", "keys", "engine").stdout
    assert "settle_seconds" not in deepdream("config", "keys", "engine").stdout
    assert "Did you mean 'engine'?" in deepdream("config", "keys", "engin").stderr
    found = json.loads(deepdream("config", "keys", "engine", "--json").stdout)
    (tile,) = [key for key in found["engine"] if key["name"] == "tile_px"]
    assert (tile["minimum"], tile["maximum"], tile["default"]) == (128, 16384, "auto")
    assert json.loads(deepdream("config", "keys", "recipes", "--json").stdout)["recipes"]

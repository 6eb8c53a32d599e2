"""The page of an atlas as a browser runs it: searched, ordered by a photo, and copied from."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from deepdream_daemon.microscope import atlas_page
from deepdream_engine.pictures import read_provenance
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook, parse_set
from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.microscope_networks import Shapes, configured
from tests.tools import lacking

__all__ = ["nowhere"]

BROWSER = Path(__file__).with_name("page_in_node.js")


def seen_on(page: Path) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        lacking("node", "the page's script is run by it")
    run = subprocess.run([node, BROWSER, page], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def test_channels_are_searched_ordered_by_a_photo_and_copied_as_recipes(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    args = ("--layers", "conv2,logits", "--channels", "3", "--size", "32", "--set", "steps=2", "--json")
    result = deepdream("atlas", "dreamnet", "--photo", "photo.png", *args)
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    told = seen_on(Path(facts["page"]))

    excites = facts["photos"][0]["excites"]
    by_photo = [f"{round(100 * value)} %" for row in excites.values() for value in sorted(row, reverse=True)]
    assert sorted(line.split(" %")[0] + " %" for line in told["first"]) == sorted(by_photo)
    shares = [int(line.split(" %")[0]) for line in told["first"]]
    assert shares == sorted(shares, reverse=True)

    numbers = [channel["number"] for layer in facts["layers"] for channel in layer["channels"]]
    assert len(told["inOrder"]) == len(numbers) == 6
    assert told["inOrder"][:3] == [f"conv2 {number}" for number in numbers[:3]]
    assert [heading.split(" ")[0] for heading in told["headings"]] == ["conv2", "logits"]
    assert told["found"] == ["57 African elephant"]
    assert (told["count"], told["foundCount"]) == ("6 of 6", "1 of 6")
    assert told["madeMeanwhile"] == 0, "searching and ordering make no cell anew: there may be 16,000"
    assert told["areLazy"]
    assert set(told["sources"]) == {"data:image/jpeg;base64"}, "the page needs nothing beside it"
    assert "Nothing has that in its name" in told["nothing"]
    assert (told["name"], told["isOpen"]) == (f"conv2 {numbers[0]}", False)
    assert told["before"].startswith(facts["layers"][1]["channels"][-1]["name"]), "before the first comes the last"

    book = RecipeBook(load_catalogue(), tomllib.loads(told["recipe"])["recipes"])
    (own,) = [name for name in book.names if name not in RecipeBook(load_catalogue()).names]
    command = shlex.split(told["command"])
    assert command[:3] == ["deepdream", "dream", "PHOTO.jpg"]
    changes = [parse_set(change) for key, change in itertools.pairwise(command) if key == "--set"]
    at_once = RecipeBook(load_catalogue()).resolve("classic", [(change, lambda *_: "--set") for change in changes])
    assert book.resolve(own).to_dict() | {"name": "classic"} == at_once.to_dict()
    assert at_once.to_dict()["objective"]["channel"] == numbers[0]


def test_a_recipe_that_is_copied_dreams_with_the_weights_that_were_looked_at(tmp_path: Path) -> None:
    """The name of a model alone would dream with others."""
    weights = "it's mine.safetensors"
    config = configured(tmp_path / "own", Shapes())
    save_file(Shapes().state_dict(), config.with_name(weights))
    args = ("--layers", "c1", "--channels", "1", "--size", "32", "--set", "steps=2", "--json", "--config", config)
    result = deepdream("atlas", "shapes", "--set", f"model.weights={weights}", *args)
    assert result.exit_code == 0, result.stderr
    told = seen_on(Path(json.loads(result.stdout)["page"]))
    (recipe,) = tomllib.loads(told["recipe"])["recipes"].values()
    assert recipe["model"] == {"name": "shapes", "weights": weights}
    photo(tmp_path / "PHOTO.jpg")
    command = shlex.split(told["command"])
    quick = ("--set", "octaves=1", "--set", "steps=1", "--config", config)
    dreamt = deepdream(*command[1:], *quick)
    assert dreamt.exit_code == 0, dreamt.stderr
    (dream,) = tmp_path.glob("PHOTO.classic*")
    made_by = read_provenance(dream.read_bytes())
    drawn = next((tmp_path / "shapes.atlas" / "pictures").rglob("*.jpg"))
    looked_at = read_provenance(drawn.read_bytes())
    assert made_by is not None
    assert looked_at is not None
    assert made_by["model"] == looked_at["model"]


def test_the_pictures_of_a_large_atlas_lie_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_page, "_EMBEDDED_BYTES", 3000)
    args = ("--layers", "conv2", "--channels", "2", "--size", "32", "--set", "steps=2", "--json")
    result = deepdream("atlas", "dreamnet", *args)
    assert result.exit_code == 0, result.stderr
    assert "send the whole folder" in result.stderr
    facts = json.loads(result.stdout)
    assert not facts["is_self_contained"]
    told = seen_on(Path(facts["page"]))
    assert told["sources"] == [channel["file"] for channel in facts["layers"][0]["channels"]]
    assert all((tmp_path / "dreamnet.atlas" / source).is_file() for source in told["sources"])

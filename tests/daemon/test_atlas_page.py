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

from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook, parse_set
from tests.daemon.cli import deepdream, nowhere, photo
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
    assert told["found"] == ["57 African elephant"]
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

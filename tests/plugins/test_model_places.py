"""What is wrong with a network of the configuration is told where its table says so, not where a recipe names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deepdream_engine.engine import Engine
from deepdream_engine.errors import BadOption
from deepdream_engine.records import Failure
from deepdream_plugins import RecipeBook, Selection, load_catalogue
from deepdream_plugins.toml_source import TomlSource

MODEL = """
[models.fixed]
builder = "tests.plugins.own_networks:small"
weights = "random"
default_tap = "{tap}"
classes = {classes}
"""


def refusal(table: dict[str, object], *, tap: str = "middle", classes: int = 5) -> str:
    """Return what is said of a dream with a recipe that ``table`` changes, and a network with 5 outputs."""
    text = MODEL.format(tap=tap, classes=[f"class {number}" for number in range(classes)])
    source = TomlSource.parse(text, "bad.toml")
    models = source.data["models"]
    catalogue = load_catalogue(Selection(models=models, base_dir=Path()), source.where)
    overrides = [({"model": "fixed", "octaves": 1, "steps": 1, **table}, lambda *keys: "--set")]
    recipe = RecipeBook(catalogue).resolve("classic", overrides)
    (outcome,) = [found for _, found in Engine(device="cpu").stream([recipe.job(torch.rand(3, 40, 40), 1)])]
    if not isinstance(outcome, Failure):
        return ""
    assert isinstance(outcome.error, BadOption), outcome.error
    return str(recipe.placed(outcome.error))


def test_a_default_layer_that_the_network_has_not_is_told_at_its_key() -> None:
    assert refusal({"objective": "l2"}) == ""
    said = refusal({"objective": "l2"}, tap="bodie")
    assert said.startswith("bad.toml:5: models.fixed.default_tap: unknown layer of model 'fixed' 'bodie'.")


def test_a_wrong_number_of_classes_is_told_at_its_key() -> None:
    objective = {"objective": {"name": "class_logit", "label": "class 1"}}
    assert refusal(objective) == ""
    said = refusal(objective, classes=7)
    assert said.startswith(
        "bad.toml:6: models.fixed.classes: it names 7 classes, but the output of model 'fixed' has 5."
    )


@pytest.mark.parametrize("layer", ["nowhere"])
def test_a_layer_that_a_recipe_names_is_told_where_it_does(layer: str) -> None:
    said = refusal({"objective": {"name": "l2", "layer": layer}}, tap=layer)
    assert said.startswith("--set: unknown layer of model 'fixed' 'nowhere'.")

"""Weights that do not fit: the error names the keys and the model that the weights look like, whoever loads them."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from deepdream_engine.errors import BadOption
from deepdream_plugins import Catalogue, ModelSpec, hookimpl, load_catalogue
from deepdream_plugins.hosting.guarding import Guard, PluginFailure
from deepdream_plugins.selection import Selection
from tests.plugins.own_networks import Small

OWN: dict[str, dict[str, Any]] = {
    "broken": {"torchvision": "no_such_network"},
    "mine": {"torchvision": "squeezenet1_1", "weights": "w.pt"},
    "small": {"builder": "tests.plugins.own_networks:small"},
}


@pytest.fixture
def own(tmp_path: Path) -> Catalogue:
    torch.save({"state_dict": wrapped(torchvision.models.squeezenet1_0())}, tmp_path / "w.pt")
    return load_catalogue(Selection(models=OWN, base_dir=tmp_path))


def wrapped(module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"module.{key}": value for key, value in module.state_dict().items()}


def test_the_nearest_architecture_is_named_for_the_users_own_model_though_another_is_broken(own: Catalogue) -> None:
    with pytest.raises(BadOption) as caught:
        own.models["mine"].spec.load(None)
    said = str(caught.value)
    assert said.startswith("models.mine.weights: ")
    assert "w.pt' is not for model 'mine': it lacks features.6.squeeze.weight" in said
    assert said.endswith(" They look like those of 'squeezenet1_0': 100% of all names and shapes are the same.")
    assert str(pickle.loads(pickle.dumps(caught.value))) == said


def test_what_looks_like_nothing_is_told_as_it_is(own: Catalogue, tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    for name in ("mine", "small", "dreamnet"):
        with pytest.raises(BadOption, match=rf"is not for model '{name}': .* or other weights\.$"):
            own.models[name].spec.load(tmp_path / "other.pt")


def test_models_are_the_same_however_often_they_are_listed() -> None:
    assert load_catalogue().models["dreamnet"] == load_catalogue().models["dreamnet"]


def test_what_a_plugins_own_load_raises_is_placed_in_its_file() -> None:
    def load(_weights: Path | None, _more: int) -> nn.Module:
        torch.zeros(2) + torch.zeros(3)
        return Small()

    class Failing:
        @hookimpl
        def deepdream_models(self) -> Any:
            yield ModelSpec(name="failing", help="x", load=partial(load, _more=1), default_tap="stem", weights="none")

    catalogue = load_catalogue(Selection(third_party=False))
    catalogue.host.register(Failing(), "stranger")
    with pytest.raises(PluginFailure, match=rf"failed at {Path(__file__).as_posix()}:\d+: RuntimeError"):
        Guard("the model 'failing'", "stranger").call(catalogue.models["failing"].spec.load, None)

"""Taught models: they load whatever their layers are made of, and list their layers without their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt

from deepdream_daemon.layers import list_layers
from deepdream_engine.errors import BadOption
from deepdream_engine.training.card import Card, write_card
from deepdream_engine.training.finishing import packed
from deepdream_plugins import Catalogue, ModelSpec, hookimpl, load_catalogue
from deepdream_plugins.builtin.trained_models import from_random, with_classes
from deepdream_plugins.selection import Selection


class Scaled(nn.Module):
    """A network with a parameter that nothing resets, and a table of places."""

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)
        self.scale = nn.Parameter(torch.full((4, 1, 1), 0.5))
        self.register_buffer("order", torch.tensor([3, 1, 0, 2]))
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head((self.conv(x) * self.scale)[:, self.order].mean((2, 3)))
        return y


def convnext() -> nn.Module:
    return ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=5)


class Networks:
    """A plugin with both, which are built without values."""

    @hookimpl
    def deepdream_models(self) -> Any:
        for name, made, tap in (("scaled", Scaled, "conv"), ("convnext", convnext, "features.1")):

            def load(_weights: Path | None, made: Any = made) -> nn.Module:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(4)
                    module: nn.Module = made()
                return module.eval()

            def build(made: Any = made) -> nn.Module:
                with torch.device("meta"):
                    module: nn.Module = made()
                return module

            yield ModelSpec(name=name, help="x", load=load, build=build, default_tap=tap, weights="random", side_px=32)


def catalogue(*cards: Path) -> Catalogue:
    found = load_catalogue(Selection(third_party=False, trained=cards))
    found.host.register(Networks(), "networks")
    return found


def taught(folder: Path, spec: ModelSpec) -> tuple[Path, nn.Module]:
    """Save a network with the layers of ``spec`` as a training does."""
    module, _, digest = with_classes(spec, 3, taught=True)
    with torch.no_grad():
        for each in module.parameters():
            each.mul_(1.5)
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(packed(module))
    card = Card(
        name=folder.name,
        architecture=spec.name,
        base=spec.name,
        base_sha256=digest,
        classes=("a", "b", "c"),
        counts=((4, 0, 1),) * 3,
        pictures_sha256="",
        left_out=0,
        side_px=32,
        min_side_px=32,
        mean=spec.mean,
        std=spec.std,
        default_tap=spec.default_tap,
        aliases={},
        held_out=3,
        right=3,
        right5=3,
        right_by_class=(1, 1, 1),
        held_out_by_class=(1, 1, 1),
        epochs=1.0,
        seconds=1.0,
        sha256="",
        made_with="deepdream",
        finished="",
    )
    return write_card(card, folder).absolute(), module.eval()


@pytest.mark.parametrize("name", ["convnext", "scaled"])
def test_a_network_whose_parameters_nothing_resets_can_be_taught_and_used(tmp_path: Path, name: str) -> None:
    card, module = taught(tmp_path / "photos", catalogue().models[name].spec)
    spec = catalogue(card).models["photos"].spec
    loaded = spec.load(None)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in loaded.state_dict().items())
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(picture), module(picture))
        assert loaded(picture).shape == (2, 3)
    (card.parent / "weights.safetensors").unlink()
    assert any(layer.is_default for layer in list_layers(spec, 64)), "layers are listed without weights"


def test_weights_without_a_parameter_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    card, _ = taught(tmp_path / "photos", catalogue().models["scaled"].spec)
    path = card.with_name("weights.safetensors")
    for gone in ("scale", "order"):
        save_file({key: value for key, value in load_file(path).items() if key != gone}, tmp_path / "w.safetensors")
        with pytest.raises(BadOption, match=f"it lacks {gone}"):
            catalogue(card).models["photos"].spec.load(tmp_path / "w.safetensors")


def test_only_what_knows_how_to_begin_begins_with_random_weights() -> None:
    module, path, digest = with_classes(catalogue().models["convnext"].spec, 3)
    assert (path, digest) == ("classifier.2", "")
    assert any(isinstance(part, CNBlock) for part in module.modules())
    with pytest.raises(BadOption, match=r"model 'convnext' cannot begin with random weights: .* start = 'weights'"):
        from_random(module, "convnext")

"""Networks from torchvision, timm and anybody's function: they load, list their layers, and dream at odd sizes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deepdream_daemon.layers import list_layers
from deepdream_engine.errors import BadOption, ModelUnavailable
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_plugins.own_models import own_plugin
from tests.plugins.own_networks import Small, dream, network_of, seeded, spec_of

SMALL = "tests.plugins.own_networks:small"
timm = pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("table", "middle"),
    [
        ({"builder": SMALL}, "stages.1"),
        ({"torchvision": "squeezenet1_1", "weights": "random"}, "features.12"),
        ({"timm": "test_resnet", "weights": "random"}, "layer3.0"),
        ({"timm": "test_convnext", "weights": "random"}, "stages.2"),
        ({"timm": "test_mambaout", "weights": "random"}, "stages.2"),  # keeps channels last
        ({"timm": "test_vit", "weights": "random"}, "blocks.4"),  # makes tokens
    ],
    ids=lambda value: value if isinstance(value, str) else str(next(iter(value.values()))),
)
def test_a_network_dreams_from_a_middle_layer_that_its_list_marks(
    table: dict[str, str], middle: str, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, **table)
    layers = list_layers(spec, 224)
    assert [layer.name for layer in layers if layer.is_default] == [middle]
    assert all(layer.height == layer.width > 1 for layer in layers)
    change = dream(spec)
    assert change.isfinite().all()
    assert change.abs().mean() > 1e-3  # a step of 1.5/255 on average, however the gradient is normalised


def test_a_vision_transformers_tokens_lie_where_their_patches_do(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, timm="test_vit", weights="random", mean=[0.0] * 3, std=[1.0] * 3)
    tapped = TappedNetwork(LoadedNetwork(network_of(spec)), ("patch_embed",)).float()
    grey = torch.full((1, 3, 64, 96), 0.5)
    spot = grey.clone()
    spot[:, :, 16:32, 48:64] = 1  # the patch in row 1, column 3
    changed = (tapped(spot)["patch_embed"] - tapped(grey)["patch_embed"]).abs().sum(1)[0]
    assert changed.shape == (4, 6)
    assert changed.nonzero().tolist() == [[1, 3]]


def test_timm_says_how_it_normalises_unless_the_table_does(tmp_path: Path) -> None:
    own = LoadedNetwork(network_of(spec_of(tmp_path, timm="test_resnet", weights="random")))
    assert (own.mean, own.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    told = LoadedNetwork(network_of(spec_of(tmp_path, timm="test_resnet", weights="random", mean=[0.1, 0.2, 0.3])))
    assert (told.mean, told.std) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))


def test_weights_come_from_a_file_of_either_kind(tmp_path: Path) -> None:
    state = {name: value.contiguous() for name, value in seeded().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        spec = spec_of(tmp_path, builder=SMALL, weights=name)
        assert spec.weights == str(tmp_path / name)
        loaded = spec.load(None).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())
    chosen_by_the_recipe = spec_of(tmp_path, builder=SMALL).load(tmp_path / "w.pth").state_dict()
    assert torch.equal(chosen_by_the_recipe["stem.weight"], state["stem.weight"])


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, builder=SMALL, weights="random")
    before = torch.get_rng_state()
    one, other = spec.load(None), spec.load(None)
    assert torch.equal(one.get_parameter("stem.weight"), other.get_parameter("stem.weight"))
    assert torch.equal(before, torch.get_rng_state())


def test_arguments_reach_the_builder(tmp_path: Path) -> None:
    module = spec_of(tmp_path, builder=SMALL, arguments={"classes": 7}).load(None)
    assert isinstance(module, Small)
    assert module.head.out_features == 7
    resnet = spec_of(tmp_path, timm="test_resnet", weights="random", arguments={"num_classes": 4}).load(None)
    assert resnet(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this ran",))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            {"torchvision": "resnet5"},
            r"models.mine.torchvision: torchvision has no model 'resnet5'. Did you mean 'resnet50'",
        ),
        ({"timm": "test_resne"}, r"models.mine.timm: timm has no model 'test_resne'. Did you mean 'test_resnet"),
        (
            {"builder": "nowhere.at_all:net"},
            r"models.mine.builder: .*there is no module 'nowhere'. Put it beside the conf",
        ),
        ({"builder": "tests.plugins.own_networks:smal"}, r"has no 'smal'. Did you mean 'small'"),
        ({"builder": "tests.plugins.own_networks:no_network"}, r"returned int; it must return a torch.nn.Module"),
        (
            {"builder": "tests.plugins.own_networks:broken", "arguments": {"size": 3}},
            r"'tests.plugins.own_networks:broken' failed, with the arguments \{'size': 3\}: ValueError: these "
            r"weights are elsewhere at .*own_networks.py:\d+",
        ),
        (
            {"builder": SMALL, "arguments": {"sizes": 3}},
            r"^models.mine.arguments: .*small': unknown argument 'sizes'.*Valid: classes.",
        ),
        (
            {"builder": "tests.plugins.own_networks:needy"},
            r"^models.mine.builder: .*needy' cannot be called so: missing .*: 'size'. It takes size: 'int'; ",
        ),
        (
            {"builder": "tests.plugins.own_networks:needy", "arguments": {"size": "x"}},
            r"^models.mine.arguments: .*needy' failed, with the arguments .*TypeError: .* at .*own_networks.py:\d+$",
        ),
        (
            {"timm": "test_resnet", "weights": "random", "arguments": {"sizes": 3}},
            r"^models.mine.arguments: 'test_resnet' failed, with the arguments .*unexpected keyword argument 'sizes'",
        ),
        (
            {"builder": SMALL, "classes": ["a", "b"]},
            r"^models.mine.classes: it names 2 classes, but the output of model 'mine' has 5",
        ),
        (
            {"torchvision": "resnet18", "weights": "V1"},
            r"models.mine.weights: .* no weights 'V1'.*IMAGENET1K_V1, default",
        ),
        (
            {"builder": SMALL, "weights": "other.pth"},
            r"models.mine.weights: .*other.pth' is not for model 'mine': it lacks",
        ),
        (
            {"builder": SMALL, "weights": "code.pth"},
            r"models.mine.weights: .*code.pth' cannot be read.*refused because",
        ),
        ({"timm": "test_vit", "arguments": {"depth": "x"}}, r"'test_vit' failed, with the arguments \{'depth': 'x'\}"),
        (
            {"timm": "test_vit", "arguments": {"dynamic_img_size": False}, "weights": "random"},
            r"models.mine.timm: model 'mine' does not take pictures of any size, several at once \(Input height",
        ),
        (
            {"torchvision": "squeezenet1_1", "weights": "random", "min_side_px": 4},
            r"models.mine.min_side_px: model 'mine' cannot look at pictures of 4 pixels .*Set min_side_px = 48",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value.values()))[-40:],
)
def test_what_cannot_be_loaded_says_where_and_why(table: dict[str, object], says: str, tmp_path: Path) -> None:
    torch.save({"stem.weight": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save({"stem.weight": Code()}, tmp_path / "code.pth")
    with pytest.raises(BadOption, match=says):
        spec_of(tmp_path, **table).load(None)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    """A folder with a configuration's own modules, which are forgotten afterwards."""
    before = set(sys.modules)
    (tmp_path / "own_helper.py").write_text("from torch import nn\nSTEM = nn.Conv2d(3, 4, 3)\n")
    (tmp_path / "own_net.py").write_text("import own_helper\ndef build():\n    return own_helper.STEM\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_builder_may_lie_beside_the_configuration_with_its_helpers(beside: Path) -> None:
    before = list(sys.path)
    assert isinstance(spec_of(beside, builder="own_net:build").load(None), nn.Conv2d)
    assert sys.path == before


def test_what_is_installed_comes_before_what_lies_beside_the_configuration(beside: Path) -> None:
    (beside / "colorsys.py").write_text("raise AssertionError('this ran')")
    sys.modules.pop("colorsys", None)
    with pytest.raises(BadOption, match="module 'colorsys' has no 'build'"):
        spec_of(beside, builder="colorsys:build").load(None)


@pytest.mark.parametrize("where", ["beside the configuration", "on the path"])
@pytest.mark.parametrize("source", ["own_net:build", "linked:build", "own_package.net:build"])
def test_no_builder_runs_from_a_watched_folder(
    where: str, source: str, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is it found there by chance, such as in the working directory."""
    watched, own = beside / "in", beside / "own"
    package = own / "own_package"
    for folder in (watched, package):
        folder.mkdir(parents=True)
    for path in (watched / "own_net.py", watched / "net.py"):
        path.write_text("raise AssertionError('this ran')")
    (own / "linked.py").symlink_to(watched / "own_net.py")
    (package / "net.py").symlink_to(watched / "net.py")
    folder = watched if source.startswith("own_net") else own
    if where == "on the path":
        monkeypatch.syspath_prepend(folder)
    plugin: Any = own_plugin({"mine": {"builder": source}}, folder, watched=[watched])
    (spec,) = plugin.deepdream_models()
    with pytest.raises(BadOption, match=r"^models.mine.builder: .* is reached through the watched folder .*in', where"):
        spec.load(None)


def test_timm_that_is_not_installed_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(BadOption, match=r"models.mine.timm: timm is not installed. Install it: pip install 'deepdream"):
        spec_of(tmp_path, timm="test_resnet").load(None)


def test_weights_that_cannot_be_fetched_are_asked_for_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("timm.models.load_pretrained", _offline)
    monkeypatch.setattr("torch.hub.download_url_to_file", _offline)
    for table in ({"timm": "test_resnet"}, {"torchvision": "squeezenet1_1"}):
        with pytest.raises(ModelUnavailable, match=r"the weights of model 'mine' are not on this machine"):
            spec_of(tmp_path, **table).load(None)


def _offline(*_arguments: object, **_options: object) -> None:
    raise ConnectionError("no route to host")


def test_listing_layers_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timm.models.load_pretrained", _offline)
    monkeypatch.setattr("torch.hub.download_url_to_file", _offline)
    for table in ({"timm": "test_resnet"}, {"torchvision": "squeezenet1_1"}):
        assert len(list_layers(spec_of(tmp_path, **table), 224)) > 5


def test_a_network_that_nobody_can_trace_is_run_no_further_than_the_last_layer(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, timm="test_vit", weights="random")
    loaded = LoadedNetwork(network_of(spec))
    tapped = TappedNetwork(loaded, ("blocks.0", "blocks.1"))
    behind = tapped.get_submodule("body.whole.blocks.2")
    calls: list[nn.Module] = []
    behind.register_forward_hook(lambda module, _inputs, _value: calls.append(module))
    seen = tapped(torch.rand(1, 3, 48, 64, dtype=torch.float64))
    assert [tuple(seen[tap].shape) for tap in ("blocks.0", "blocks.1")] == [(1, 64, 3, 4)] * 2
    assert not calls

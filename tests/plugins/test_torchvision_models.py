"""torchvision's networks: found by name, tapped by the names people know, their weights fetched or refused clearly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.models import Weights, WeightsEnum

from deepdream_engine import Network
from deepdream_engine.errors import BadOption, ModelUnavailable
from deepdream_engine.network import LoadedNetwork, list_taps
from deepdream_plugins import RecipeBook, load_catalogue
from tests.assets import asset

MODELS = load_catalogue().models
NAMES = [name for name, owned in MODELS.items() if owned.owner == "torchvision"]


def untrained(name: str) -> Network:
    """The network as the plugin builds it, with whatever its memory held: only its graph matters."""
    spec = MODELS[name].spec

    def build() -> torch.nn.Module:
        assert spec.build is not None
        return spec.build().to_empty(device="cpu")

    return Network(key=name, name=name, load=build, aliases=spec.aliases, min_side_px=spec.min_side_px)


def squeezenet_file(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "weights.pth"
    torch.save(torchvision.models.squeezenet1_0(weights=None).state_dict(), path)
    return path


def published_at(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    """Let torchvision's SqueezeNet weights lie at ``url``, with an empty cache."""

    class Local(WeightsEnum):
        V1 = Weights(url=url, transforms=lambda x: x, meta={})

    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: Local.V1)
    monkeypatch.setenv("TORCH_HOME", str(home))


def test_at_least_these_are_there() -> None:
    assert {
        *("googlenet", "inception_v3", "vgg16", "vgg19", "resnet50", "squeezenet1_0", "squeezenet1_1"),
        *("densenet121", "mobilenet_v3_large", "convnext_tiny", "efficientnet_b0"),
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_default_tap_and_every_alias_are_places_in_the_network(name: str) -> None:
    loaded = LoadedNetwork(untrained(name))
    spec = MODELS[name].spec
    for tap in (spec.default_tap, *spec.aliases):
        assert loaded.node_of(tap) in loaded.nodes
    body = loaded.cut((spec.default_tap,))
    side = max(64, spec.min_side_px)
    activations = body.float()(torch.rand(1, 3, side, side))[loaded.node_of(spec.default_tap)]
    assert activations.ndim == 4


@pytest.mark.parametrize(
    ("name", "alias", "tap"),
    [
        ("googlenet", "inception_4c/output", "inception4c"),
        ("googlenet", "inception_3b/5x5_reduce", "inception3b.branch3.0"),
        ("inception_v3", "mixed3", "Mixed_6a"),
        ("vgg16", "relu4_3", "features.22"),
        ("vgg19", "relu4_4", "features.26"),
    ],
)
def test_the_names_of_other_deepdream_programs_are_understood(name: str, alias: str, tap: str) -> None:
    assert MODELS[name].spec.aliases[alias] == tap


def test_taps_are_found_by_tracing() -> None:
    taps = {tap.name: tap for tap in list_taps(untrained("googlenet"), 224)}
    assert (taps["inception4c"].channels, taps["inception4c"].height) == (512, 14)
    assert 0 < taps["inception3a"].depth < taps["inception4c"].depth < 1


def test_weights_are_fetched_checked_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = squeezenet_file(tmp_path)
    published = file.rename(tmp_path / f"squeezenet-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    published_at(monkeypatch, published.as_uri(), tmp_path / "home")
    module = MODELS["squeezenet1_0"].spec.load(None)
    torch.testing.assert_close(module.state_dict(), torch.load(published, weights_only=True))
    published.unlink()
    MODELS["squeezenet1_0"].spec.load(None)  # out of the cache


def test_a_wrong_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = squeezenet_file(tmp_path).rename(tmp_path / "squeezenet-00000000.pth")
    published_at(monkeypatch, published.as_uri(), tmp_path / "home")
    with pytest.raises(ModelUnavailable, match=r"'squeezenet1_0' arrived damaged: invalid hash.*dreamnet"):
        MODELS["squeezenet1_0"].spec.load(None)
    assert not list((tmp_path / "home").rglob("*.pth"))


def test_a_damaged_file_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published_at(monkeypatch, "http://127.0.0.1:9/squeezenet-1234abcd.pth", tmp_path)
    kept = tmp_path / "hub" / "checkpoints" / "squeezenet-1234abcd.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a file")
    with pytest.raises(BadOption, match=r"squeezenet-1234abcd\.pth' cannot be read"):
        MODELS["squeezenet1_0"].spec.load(None)


def test_offline_the_message_says_what_to_fetch_where_to_put_it_and_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:9/squeezenet-1234abcd.pth"  # nothing listens there
    published_at(monkeypatch, url, tmp_path)
    with pytest.raises(ModelUnavailable) as caught:
        MODELS["squeezenet1_0"].spec.load(None)
    for part in ("squeezenet1_0", url, str(tmp_path / "hub" / "checkpoints" / "squeezenet-1234abcd.pth"), "dreamnet"):
        assert part in str(caught.value)


def test_a_recipe_may_name_a_file_of_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    pth = squeezenet_file(tmp_path)
    safe = tmp_path / "weights.safetensors"
    save_file(torch.load(pth, weights_only=True), safe)
    book = RecipeBook(load_catalogue(), base_dir=tmp_path)
    digests = []
    for name in (pth.name, safe.name):
        table = {"model": {"name": "squeezenet1_0", "weights": name}, "objective": {"name": "l2"}}
        recipe = book.resolve("classic", [(table, lambda *keys: "test")])
        digests.append(LoadedNetwork(recipe.program().network).weights_sha256)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b"not weights"), "cannot be read"),
        (lambda path: torch.save({"epoch": 3}, path), "holds no state dict"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "pickled models are refused"),
        (
            lambda path: torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path),
            "differs in shape: features.0.weight is (64, 3, 3, 3) in place of (96, 3, 7, 7)",
        ),
        (
            lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
            "lacks features.0.weight, features.0.bias, features.3.squeeze.weight and 49 more; "
            "it has unknown weight, bias",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    tmp_path: Path, write: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(BadOption) as caught:
        MODELS["squeezenet1_0"].spec.load(path)
    assert said in str(caught.value)
    assert "weights_only" not in str(caught.value), "torch's advice is to run the file's code"


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    squeezenet_file(tmp_path)
    with pytest.raises(BadOption, match=r"no file '.*weight\.pth'.*Did you mean 'weights\.pth'"):
        MODELS["squeezenet1_0"].spec.load(tmp_path / "weight.pth")


def test_a_real_imagenet_network_recognises_as_published() -> None:
    spec = MODELS["squeezenet1_0"].spec
    module = spec.load(asset("models/squeezenet1_0.pt"))
    photos = sorted(asset("photos/labelled").glob("*.jpg"))
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (MODELS["squeezenet1_0"].spec.mean, MODELS["squeezenet1_0"].spec.std)
    )
    top1 = top5 = 0
    for photo in photos:
        with Image.open(photo) as image:
            pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1) / 255
        height, width = pixels.shape[1:]
        top, left = round((height - 227) / 2), round((width - 227) / 2)
        crop = (pixels[:, top : top + 227, left : left + 227] - mean) / std
        with torch.no_grad():
            best = module(crop[None]).topk(5).indices[0].tolist()
        label = int(photo.name.split("_")[0])
        top1 += best[0] == label
        top5 += label in best
    assert (top1, top5, len(photos)) == (116, 167, 200)


def test_layers_are_listed_before_any_weights_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    published_at(monkeypatch, "http://127.0.0.1:9/squeezenet-1234abcd.pth", tmp_path)
    build = MODELS["squeezenet1_0"].spec.build
    assert build is not None
    taps = list_taps(Network(key="sq", name="sq", load=build), 224)
    assert ("features.10", 512, 27) in [(tap.name, tap.channels, tap.height) for tap in taps]

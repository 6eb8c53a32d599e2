"""A network made ready for dreaming gives the same activations and gradient as the whole one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import Engine, Network
from deepdream_engine.errors import BadOption
from deepdream_engine.network import LoadedNetwork, TappedNetwork, list_taps, weights_digest

from .conftest import DREAMNET, TINY, tiny_network


def activations_of(module: nn.Module, tap: str, x: Tensor) -> Tensor:
    seen = []
    handle = module.get_submodule(tap).register_forward_hook(lambda _m, _i, out: seen.append(out.clone()))
    module(x)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(
    ("network", "tap"),
    [(TINY, "conv1"), (TINY, "bn1"), (TINY, "relu2"), (DREAMNET, "mixed3b"), (DREAMNET, "conv2")],
)
def test_taps_equal_the_whole_networks_activations(network: Network, tap: str, clouds: Callable[..., Tensor]) -> None:
    tapped = TappedNetwork(LoadedNetwork(network), (tap,)).to(torch.float32)
    x = clouds(48, 64)[None]
    whole = network.load().eval()
    expected = activations_of(whole, tap, (x - tapped.mean) / tapped.std)
    # bn1 is followed by an in-place ReLU, which must not reach back into the tap.
    torch.testing.assert_close(tapped(x)[tap], expected, rtol=1e-4, atol=1e-4)


def test_nothing_behind_the_last_tap_is_kept_and_batch_norms_are_folded() -> None:
    body = LoadedNetwork(DREAMNET).cut(("mixed3b",))
    names = [name for name, _ in body.named_modules()]
    assert not [name for name in names if name.startswith(("mixed4", "mixed5", "fc"))]
    assert not [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not [parameter for parameter in body.parameters() if parameter.requires_grad]


def test_the_loaded_network_is_left_as_it_was_by_cutting() -> None:
    loaded = LoadedNetwork(TINY)
    before = weights_digest(loaded.module)
    loaded.cut(("relu1",))
    assert weights_digest(loaded.module) == before
    assert {parameter.dtype for parameter in loaded.module.parameters()} == {torch.float32}


def test_an_alias_a_node_and_a_module_name_the_same_tap() -> None:
    loaded = LoadedNetwork(TINY)
    assert loaded.node_of("first/output") == loaded.node_of("relu1") == "relu1"


def test_an_unknown_tap_names_the_nearest_and_the_valid_ones() -> None:
    with pytest.raises(BadOption, match=r"'relu3'.*Did you mean 'relu\d'\?.*conv1.*deepdream layers tiny"):
        LoadedNetwork(TINY).node_of("relu3")


def test_taps_are_listed_in_running_order_with_shapes() -> None:
    taps = {tap.name: tap for tap in list_taps(DREAMNET, 224)}
    assert list(taps)[:3] == ["conv1", "conv2", "pool2"]
    assert (taps["mixed4c"].channels, taps["mixed4c"].height) == (264, 28)
    assert (taps["mixed5b"].channels, taps["mixed5b"].width) == (480, 14)


def test_the_digest_tells_weights_apart() -> None:
    module = tiny_network()
    before = weights_digest(module)
    assert weights_digest(tiny_network()) == before
    with torch.no_grad():
        next(module.parameters()).view(-1)[0] += 1e-6
    assert weights_digest(module) != before


def test_a_network_is_loaded_once_for_many_jobs(clouds: Callable[..., Tensor]) -> None:
    from .conftest import job

    loads = []

    def load() -> nn.Module:
        loads.append(1)
        return tiny_network()

    network = Network(key="counted", name="counted", load=load, min_side_px=8)
    engine = Engine(device="cpu")
    for tap in ("relu1", "relu2"):
        engine.dream([job(clouds(24, 24, seed), network=network, tap=tap) for seed in range(3)])
    assert len(loads) == 1

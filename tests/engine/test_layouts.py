"""Networks that keep channels last, make tokens, or cannot be traced are tapped like any other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import Network
from deepdream_engine.cutting import TracedNetwork
from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption, EngineFault
from deepdream_engine.hooking import HookedNetwork
from deepdream_engine.layouts import find_layouts
from deepdream_engine.network import LoadedNetwork, TappedNetwork

from .conftest import TINY, tiny_network


def network_of(module: nn.Module) -> Network:
    return Network(key=object(), name="made", load=lambda: module, min_side_px=8)


class Values(nn.Module):
    """Values of an 8-pixel grid of patches in every layout there is; ``others`` tokens come before them."""

    def __init__(self, others: int = 0, *, padding: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 5, 8, stride=8)
        self.others = others
        self.padding = padding

    def forward(self, x: Tensor) -> Mapping[str, Tensor]:
        height, width = x.shape[2:]
        if self.padding:
            x = nn.functional.pad(x, (0, -width % 8, 0, -height % 8))
        cells = self.patches(x)  # (N, C, h, w)
        tokens = cells.flatten(2)  # (N, C, T)
        tokens = torch.cat([tokens.new_zeros(tokens.shape[0], 5, self.others), tokens], dim=2)
        return {
            "plain": cells,
            "last": cells.permute(0, 2, 3, 1),
            "turned": cells.transpose(2, 3),
            "tokens": tokens.transpose(1, 2),
            "tokens last": tokens,
            "pooled": cells.mean((2, 3)),
            "pooled in places": cells.mean((2, 3), keepdim=True),
            "attention": tokens.transpose(1, 2) @ tokens,
            "batch behind": cells.transpose(0, 1),
        }


@pytest.mark.parametrize("others", [0, 1, 5])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [(64, 64), (41, 99), (8, 8)])
def test_activations_are_laid_out_in_rows_and_columns(others: int, padding: int, size: tuple[int, int]) -> None:
    body = Values(others, padding=padding)
    layouts = find_layouts(body, 8, "values")
    values = body(torch.rand(2, 3, *size))
    for name in ("plain", "last", "turned", "tokens", "tokens last"):
        layout = layouts[name]
        assert layout is not None
        torch.testing.assert_close(layout.arrange(values[name], size), values["plain"])
    for name in ("pooled", "pooled in places"):
        layout = layouts[name]
        assert layout is not None
        assert layout.arrange(values[name], size) is values[name]
    assert layouts["attention"] is None
    assert layouts["batch behind"] is None


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 32 * 32, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x.flatten(1))
        return y


def test_a_network_for_one_size_says_so() -> None:
    with pytest.raises(
        EngineFault, match=r"model 'made' cannot look at two pictures of 192 × 192 pixels .*of any size"
    ):
        TappedNetwork(LoadedNetwork(network_of(Fixed())), ("fc",))


class Untraceable(nn.Module):
    """Python decides by values, which no tracer can follow; its ReLU works in place and runs three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 9, stride=8), nn.Conv2d(6, 6, 2)
        self.relu = nn.ReLU(inplace=True)
        self.attention = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        for _ in range(2 if x.shape[2] > 1 else 1):
            x = self.relu(self.second(x))
        return self.attention(x.flatten(2).transpose(1, 2) @ x.flatten(2)).mean(2)


def test_a_network_that_cannot_be_traced_has_its_modules_as_taps() -> None:
    loaded = LoadedNetwork(network_of(Untraceable()))
    assert loaded.nodes == ["first", "second", "relu", "attention", "output"]
    tapped = TappedNetwork(loaded, ("first", "second", "relu")).on(Device("cpu"), "fp32")
    x = torch.rand(2, 3, 41, 50)
    whole = loaded.module
    normal = (x - tapped.mean) / tapped.std
    first = whole.first(normal)
    second = whole.second(whole.second(first.relu()).relu())
    seen = tapped(x)
    torch.testing.assert_close(seen["first"], first)
    torch.testing.assert_close(seen["second"], second)
    torch.testing.assert_close(seen["relu"], second.relu())


def test_a_tap_without_channels_and_places_is_refused_by_name() -> None:
    with pytest.raises(BadOption, match=r"layer 'attention' of model 'made' has no channels with rows and columns"):
        TappedNetwork(LoadedNetwork(network_of(Untraceable())), ("attention",))


def test_watching_a_network_run_gives_what_tracing_it_gives() -> None:
    x = torch.rand(1, 3, 24, 20, dtype=torch.float64)
    hooked, traced = HookedNetwork(tiny_network().eval()), TracedNetwork(tiny_network().eval())
    for node in ("conv1", "relu1", "relu2"):
        torch.testing.assert_close(hooked.cut_after([node])(x)[node], traced.cut_after([node])(x)[node])


def test_the_middle_is_the_last_layer_with_a_cell_for_every_16_pixels() -> None:
    stages = nn.Sequential(*(nn.Conv2d(3, 3, 2, stride=2) for _ in range(5)))
    assert LoadedNetwork(network_of(stages)).middle == "3"
    flat = nn.Sequential(nn.Conv2d(3, 3, 16, stride=16), *(nn.Conv2d(3, 3, 1) for _ in range(10)))
    assert LoadedNetwork(network_of(flat)).middle == "6"
    assert TappedNetwork(LoadedNetwork(TINY), ("middle",))(torch.rand(1, 3, 24, 20).double())["middle"].shape[1] == 12


def test_a_network_may_know_better_how_it_normalises() -> None:
    module = tiny_network()
    module.pixel_mean, module.pixel_std = (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)  # type: ignore[assignment]
    tapped = TappedNetwork(LoadedNetwork(network_of(module)), ("conv1",))
    assert tapped.mean.flatten().tolist() == [0.1, 0.2, 0.3]
    assert tapped.std.flatten().tolist() == [1.0, 2.0, 3.0]

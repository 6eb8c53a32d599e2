"""A network made ready for dreaming gives the same activations and gradient as the whole one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import Engine, Network
from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption
from deepdream_engine.network import LoadedNetwork, TappedNetwork, list_taps, weights_digest
from deepdream_engine.packed import PackedConvolution, RectifiedPool
from deepdream_plugins.builtin import torchvision_models

from .conftest import DREAMNET, TINY, tiny_network

CPU = Device("cpu")
CATALOGUE = {spec.name: spec for spec in torchvision_models.deepdream_models()}
needs_packing = pytest.mark.skipif(not CPU.packs_convolutions("fp32"), reason="needs oneDNN on x86-64")


def network_of(module: nn.Module) -> Network:
    return Network(key=object(), name="made", load=lambda: module, min_side_px=8)


def gradient(network: TappedNetwork, x: Tensor) -> Tensor:
    """The gradient of half the sum of squares of all taps with respect to ``x``."""
    windows = x.detach().requires_grad_()
    score = sum((seen.square().sum() / 2 for seen in network(windows).values()), torch.zeros(()))
    return torch.autograd.grad(score, windows)[0]


def cosine(one: Tensor, other: Tensor) -> float:
    return float(nn.functional.cosine_similarity(one.double().flatten(), other.double().flatten(), dim=0))


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


@needs_packing
@pytest.mark.parametrize(
    ("name", "packed"),
    [("googlenet", 33), ("squeezenet1_1", 22), ("resnet50", 43), ("mobilenet_v3_large", 34), ("densenet121", 87)],
)
def test_packed_networks_have_the_gradient_of_plain_float64(name: str, packed: int) -> None:
    """At odd sizes, for windows of any layout, several at once."""
    torch.manual_seed(0)
    spec = CATALOGUE[name]
    module = spec.build().to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            nn.init.normal_(
                tensor, 0, (2 / max(1, tensor[0].numel())) ** 0.5
            ) if tensor.ndim > 1 else tensor.data.fill_(0.7)
    loaded = LoadedNetwork(network_of(module))
    exact = TappedNetwork(loaded, (spec.default_tap,)).on(CPU, "fp64")
    quick = TappedNetwork(loaded, (spec.default_tap,)).on(CPU, "fp32")
    assert quick.body is not None
    assert sum(isinstance(part, PackedConvolution) for part in quick.body.modules()) == packed
    for height, width in ((64, 64), (67, 58)):
        windows = torch.rand(2, height, width + 5, 3).permute(0, 3, 1, 2)[:, :, :, 2:-3]
        result = gradient(quick, windows)
        assert (result.dtype, result.shape) == (torch.float32, windows.shape)
        # A ReLU or a max-pool that rounding turns over costs some 1e-5.
        assert cosine(result, gradient(exact, windows.double())) > 0.9999


def a_layer(**options: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 6, **options)  # type: ignore[arg-type]


@needs_packing
@pytest.mark.parametrize(
    "first",
    [
        a_layer(kernel_size=7, stride=2, padding=3),
        a_layer(kernel_size=3, stride=2),
        a_layer(kernel_size=4, stride=4),
        a_layer(kernel_size=5, stride=3, padding=1),
        a_layer(kernel_size=2, stride=3),
        a_layer(kernel_size=3, padding=4),
        a_layer(kernel_size=3, dilation=2, padding=1),
        a_layer(kernel_size=3, stride=2, dilation=2),
    ],
    ids=lambda layer: f"k{layer.kernel_size[0]}s{layer.stride[0]}p{layer.padding[0]}d{layer.dilation[0]}",
)
@pytest.mark.parametrize("side", [(17, 22), (18, 19), (20, 24)])
def test_first_layers_of_any_stride_have_the_gradient_of_plain_float64(first: nn.Conv2d, side: tuple[int, int]) -> None:
    loaded = LoadedNetwork(network_of(nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2))))
    x = torch.rand(2, 3, *side)
    exact = gradient(TappedNetwork(loaded, ("2",)).on(CPU, "fp64"), x.double())
    torch.testing.assert_close(
        gradient(TappedNetwork(loaded, ("2",)).on(CPU, "fp32"), x), exact.float(), rtol=1e-4, atol=1e-4
    )


@needs_packing
def test_a_tap_between_fused_layers_keeps_its_own_values_and_gradient() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1)
    )
    loaded = LoadedNetwork(network_of(module))
    x = torch.rand(1, 3, 24, 20)
    for taps in (("0", "5"), ("1", "5"), ("2", "5"), ("3", "4", "5"), ("4",), ("5",)):
        exact, quick = (TappedNetwork(loaded, taps).on(CPU, precision) for precision in ("fp64", "fp32"))
        for tap, seen in exact(x.double()).items():
            torch.testing.assert_close(quick(x)[tap], seen.float(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(gradient(quick, x), gradient(exact, x.double()).float(), rtol=1e-4, atol=1e-4)


@needs_packing
def test_a_pool_behind_concatenated_relus_masks_for_all_of_them() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.pool = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 3, padding=1), nn.MaxPool2d(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.pool(torch.cat([torch.relu(self.left(x)), self.right(x).relu()], 1))
            return y

    torch.manual_seed(0)
    loaded = LoadedNetwork(network_of(Fork()))
    quick = TappedNetwork(loaded, ("pool",)).on(CPU, "fp32")
    assert quick.body is not None
    parts = list(quick.body.modules())
    assert sum(isinstance(part, RectifiedPool) for part in parts) == 1
    assert not [part for part in parts if isinstance(part, PackedConvolution) and part.masks_output]
    x = torch.rand(1, 3, 19, 14)
    exact = gradient(TappedNetwork(loaded, ("pool",)).on(CPU, "fp64"), x.double())
    torch.testing.assert_close(gradient(quick, x), exact.float(), rtol=1e-4, atol=1e-4)


@needs_packing
def test_what_cannot_be_packed_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(8, 8, 3, padding_mode="reflect", padding=1),
    )
    body = TappedNetwork(LoadedNetwork(network_of(module)), ("2",)).on(CPU, "fp32").body
    assert body is not None
    assert not [part for part in body.modules() if isinstance(part, PackedConvolution)]


def test_where_pytorch_cannot_pack_the_plain_network_is_used_and_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clouds: Callable[..., Tensor]
) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("no such order")

    monkeypatch.setattr("deepdream_engine.onednn._pack", fail)
    monkeypatch.setattr(Device, "packs_convolutions", lambda *_: True)
    plain = TappedNetwork(LoadedNetwork(TINY), ("relu2",)).on(CPU, "fp32")
    assert "cannot be packed here, dreaming takes longer: no such order" in caplog.text
    x = clouds(24, 24)[None]
    exact = TappedNetwork(LoadedNetwork(TINY), ("relu2",)).on(CPU, "fp64")
    assert cosine(gradient(plain, x), gradient(exact, x.double())) > 0.9999


def test_two_names_of_one_layer_are_two_taps(clouds: Callable[..., Tensor]) -> None:
    tapped = TappedNetwork(LoadedNetwork(TINY), ("first/output", "relu1", "conv2")).on(CPU, "fp32")
    seen = tapped(clouds(24, 24)[None])
    assert list(seen) == ["first/output", "relu1", "conv2"]
    assert torch.equal(seen["first/output"], seen["relu1"])


def test_without_taps_nothing_is_computed(clouds: Callable[..., Tensor]) -> None:
    tapped = TappedNetwork(LoadedNetwork(TINY), ()).on(CPU, "bf16")
    assert tapped(clouds(24, 24)[None]) == {}
    assert not list(tapped.parameters())


@pytest.mark.parametrize("name", CATALOGUE)
def test_logits_are_one_number_per_class_at_any_size(name: str) -> None:
    spec = CATALOGUE[name]
    # Without values: shapes are all that is asked for.
    network = Network(key=name, name=name, load=spec.build, min_side_px=spec.min_side_px, aliases=spec.aliases)
    body = LoadedNetwork(network).cut(("logits",))
    for size in ((spec.min_side_px, spec.min_side_px), (spec.min_side_px + 13, spec.min_side_px + 40)):
        (logits,) = body(torch.zeros(2, 3, *size, device="meta", dtype=torch.float64)).values()
        assert logits.shape == (2, 1000)


def test_logits_of_dreamnet_are_those_of_the_whole_network_and_do_not_drop_out(clouds: Callable[..., Tensor]) -> None:
    tapped = TappedNetwork(LoadedNetwork(DREAMNET), ("logits",)).on(CPU, "fp64")
    x = clouds(40, 56)[None].double()
    whole = DREAMNET.load().eval().double()
    torch.testing.assert_close(tapped(x)["logits"], whole((x - tapped.mean) / tapped.std))


def test_a_layer_named_logits_is_that_layer() -> None:
    module = nn.Sequential()
    module.add_module("logits", nn.Conv2d(3, 4, 1))
    module.add_module("after", nn.ReLU())
    assert LoadedNetwork(network_of(module)).node_of("logits") == "logits"


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

"""Networks in files, of torch.export and TorchScript: their layers by name, their dreams, and what is refused."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepdream_daemon.layers import list_layers
from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_plugins.own_models.operators import script_dangers
from tests.plugins.own_networks import dream, export, network_of, script, seeded, spec_of

SAVERS: dict[str, Callable[[Path], Path]] = {
    "exported.pt2": export,
    "scripted.pt": script,
    "traced.pt": lambda path: script(path, traced=True),
}


@pytest.fixture(scope="module", params=SAVERS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network in each kind of file."""
    return SAVERS[request.param](tmp_path_factory.mktemp("nets") / request.param)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("nets") / "net.pt2")


def tapped(path: Path, *taps: str) -> TappedNetwork:
    spec = spec_of(path.parent, file=path.name)
    return TappedNetwork(LoadedNetwork(network_of(spec)), taps).on(Device("cpu"), "fp32")


def test_its_layers_are_those_of_the_modules_that_it_was_made_of(saved: Path) -> None:
    layers = list_layers(spec_of(saved.parent, file=saved.name), 224)
    assert [layer.name for layer in layers] == ["stem", "stages.0", "stages.1"]
    assert [(layer.channels, layer.height) for layer in layers] == [(8, 56), (8, 56), (12, 28)]
    assert [layer.name for layer in layers if layer.is_default] == ["stages.1"]


def test_layers_and_gradients_are_those_of_the_network_itself(saved: Path) -> None:
    """At an odd size; the ReLU behind the stem works in place, and must not reach back into its tap."""
    taps = ("stem", "stages.0", "stages.1", "logits")
    own = TappedNetwork(LoadedNetwork(_plain()), taps).on(Device("cpu"), "fp32")
    files = tapped(saved, *taps)
    x = torch.rand(2, 3, 61, 83)
    for tap in taps:
        torch.testing.assert_close(files(x)[tap], own(x)[tap], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(_gradient(files, x), _gradient(own, x), rtol=1e-3, atol=1e-5)


def _plain() -> Any:
    return network_of(spec_of(Path(), builder="tests.plugins.own_networks:seeded"))


def _gradient(network: TappedNetwork, x: Tensor) -> Tensor:
    windows = x.detach().requires_grad_()
    score = sum((seen.square().sum() for seen in network(windows).values()), torch.zeros(()))
    return torch.autograd.grad(score, windows)[0]


def test_it_dreams_at_an_odd_size(saved: Path) -> None:
    change = dream(spec_of(saved.parent, file=saved.name))
    assert change.isfinite().all()
    assert change.abs().mean() > 1e-3


def test_nothing_behind_the_last_layer_is_computed(saved: Path) -> None:
    body = tapped(saved, "stages.0").body
    graph = str(body._run.graph if saved.suffix == ".pt" else body.graph)  # type: ignore[union-attr]
    assert graph.count("conv") - graph.count("conv2d_") * (saved.suffix == ".pt2") > 0
    assert "linear" not in graph
    assert "linear" in str(_graph_of(tapped(saved, "logits").body))


def _graph_of(body: Any) -> object:
    return body._run.graph if hasattr(body, "_run") else body.graph


def test_an_exported_program_takes_its_own_tensors_along_to_another_device(tmp_path: Path) -> None:
    class Ramp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x + torch.arange(x.shape[3], dtype=x.dtype) / 100)
            return y

    path = export(tmp_path / "ramp.pt2", Ramp().eval())
    body = LoadedNetwork(network_of(spec_of(tmp_path, file="ramp.pt2"))).cut(("conv",))
    body = body.float().to("meta")
    assert path.exists()
    (seen,) = body(torch.zeros(1, 3, 20, 30, device="meta")).values()
    assert seen.shape == (1, 4, 18, 28)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda path: export(path, dynamic=False),
            r"models.mine.file: .*it was exported for one size \(batch 2, height 64, width 80\).*dynamic_shapes=\(\{0",
        ),
        (lambda path: export(path, seeded().train()), r"models.mine.file: .*exported in training mode \(batch_norm"),
        (lambda path: script(path, seeded().train(), traced=True), r"traced in training mode \(aten::batch_norm\)"),
        (lambda path: torch.save(seeded().state_dict(), path), r"is no network.*It looks like weights; give them as w"),
        (lambda path: path.write_bytes(b"hello"), r"models.mine.file: .*is no network: neither a program of torch.exp"),
        (lambda path: script(path, _TwoInputs()), r"it takes 2 inputs, but a network that dreams has one"),
        (lambda path: script(path, _FixedView(), traced=True), r"does not take pictures of any size, several at once"),
    ],
    ids=["fixed", "exported-training", "traced-training", "weights", "text", "inputs", "traced-size"],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_what_cannot_dream_is_refused(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    make(tmp_path / "net")
    with pytest.raises(BadOption, match=says):
        spec_of(tmp_path, file="net").load(None)


class _TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class _FixedView(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y.view(1, 4, 256)


class Code:
    """Pickled, it runs something when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this ran",))


def edited(path: Path, folder: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Return a copy of an archive whose entries have gone through ``change(name, data)``."""
    copy = folder / "edited.pt2"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, change(entry, old.read(entry)))
    return copy


def _pickled() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(((Code(),), {}), buffer)
    return buffer.getvalue()


def _in_model(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    model = json.loads(data)
    change(model)
    return json.dumps(model).encode()


def _evil_function(model: dict[str, Any]) -> None:
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def _evil_size(model: dict[str, Any]) -> None:
    _replace_first(model, "expr_str", "__import__('os').getcwd()")


def _replace_first(value: Any, key: str, by: str) -> bool:
    if isinstance(value, dict) and key in value:
        value[key] = by
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_replace_first(item, key, by) for item in items)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda name, data: _pickled() if name.endswith("sample_inputs/model.pt") else data,
            r"models.mine.file: .*is refused: '.*model.pt' in it holds pickled objects other than tensors",
        ),
        (
            lambda name, data: _in_model(data, _evil_function) if name.endswith("models/model.json") else data,
            r"is refused: it holds the function 'torch.hub.load'",
        ),
        (
            lambda name, data: _in_model(data, _evil_size) if name.endswith("models/model.json") else data,
            r"is refused: it holds the expression \"__import__",
        ),
        (
            lambda name, data: data.replace(b'"use_pickle": false', b'"use_pickle": true', 1),
            r"is refused: it holds pickled tensors",
        ),
    ],
    ids=["pickle", "function", "expression", "weights"],
)
def test_a_file_that_would_run_other_code_is_refused_before_it_does(
    change: Callable[[str, bytes], bytes], says: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spec_of(tmp_path, file=str(edited(exported, tmp_path, lambda _name, data: data))).load(None)
    with pytest.raises(BadOption, match=says):
        spec_of(tmp_path, file=str(edited(exported, tmp_path, change))).load(None)
    assert "this ran" not in capsys.readouterr().out


class _Writes(nn.Module):
    """A network that makes a file, each time it looks at a picture."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.path, True, 1000, dtype=torch.float32)[:1]


class _WritesOnLoading(nn.Module):
    """The same, but already when it is loaded."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = torch.ops.aten.from_file(self.path, True, 1000, dtype=torch.float32).numel() > 0


def _upper(path: Path) -> None:
    """Rename what holds the program's code, which PyTorch finds nevertheless."""
    with zipfile.ZipFile(path) as old:
        entries = [(entry, old.read(entry)) for entry in old.namelist()]
    with zipfile.ZipFile(path, "w") as new:
        for entry, data in entries:
            new.writestr(entry.upper() if entry.endswith(".py") else entry, data)


@pytest.mark.parametrize(
    "network",
    [_Writes, _WritesOnLoading],
)
@pytest.mark.parametrize("change", [None, _upper], ids=["as-saved", "renamed"])
def test_a_script_that_opens_files_is_refused_before_it_does(
    network: Callable[[Path], nn.Module], change: Callable[[Path], None] | None, tmp_path: Path
) -> None:
    script(tmp_path / "net.pt", network(tmp_path / "made"))
    if change is not None:
        change(tmp_path / "net.pt")
    with pytest.raises(
        BadOption, match=r"models.mine.file: .*net.pt' is refused: .*holds the word 'from_file', which names"
    ):
        spec_of(tmp_path, file="net.pt").load(None)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("  _0 = torch.save(x, 'a')", "the word 'save'"),
        ("  _0 = ops.cuda.synchronize(0)", r"operators that are not PyTorch's arithmetic: 'ops.cuda.synchronize\(0\)'"),
        ("  _0 = ops . debugprims.load_tensor(1)", "operators that are not"),
        ("  o = ops", "operators that are not"),
        ("  x : __torch__.torch.classes.c10d.FileStore", "an object of a custom class"),
        ("  rpc_sync(x)", "the word 'rpc_sync'"),
    ],
)
def test_what_a_script_may_not_call_is_found_wherever_it_stands(code: str, says: str) -> None:
    (found,) = script_dangers(f"def forward(self, x):\n{code}\n  return x")
    assert re.match(says, found)
    assert not list(script_dangers("  _0 = ops.prim.NumToTensor(torch.saves(self.ops.from_files(x)))"))


def _reads_files(model: dict[str, Any]) -> None:
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _gets_attributes(model: dict[str, Any]) -> None:
    model["graph_module"]["graph"]["nodes"][0]["target"] = "_operator.attrgetter"


@pytest.mark.parametrize("change", [_reads_files, _gets_attributes])
@pytest.mark.parametrize("ending", [".json", ".JSON"])
def test_an_exported_program_calls_nothing_but_arithmetic(
    change: Callable[[dict[str, Any]], None], ending: str, exported: Path, tmp_path: Path
) -> None:
    path = edited(
        exported, tmp_path, lambda name, data: _in_model(data, change) if name.endswith("models/model.json") else data
    )
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "named.pt2", "w") as new:
        for entry in old.namelist():
            new.writestr(entry.replace("model.json", f"model{ending}"), old.read(entry))
    with pytest.raises(
        BadOption, match=r"is refused: it holds the function '(torch.ops.aten.from_file|_operator.attr)"
    ):
        spec_of(tmp_path, file="named.pt2").load(None)


def test_weights_beside_a_file_are_refused(exported: Path) -> None:
    with pytest.raises(BadOption, match=r"weights: model 'mine' is a file, which has its weights in it"):
        spec_of(exported.parent, file=exported.name).load(exported)

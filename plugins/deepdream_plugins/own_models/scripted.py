"""A program of TorchScript as a network: its graph is cut, and run by TorchScript's own interpreter.

PyTorch has no public way to end a TorchScript graph early. What is used of ``torch._C`` here is what its own exporters
and tests have used since 1.x.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepdream_engine.errors import BadOption
from deepdream_plugins.own_models.places import containers, named

_PART = re.compile(r"([^.()]*)\([^()]*\)")
_NO_INSTANCE = ("SELF", "UNKNOWN_INSTANCE", "TOP")
_TRAINING = {"aten::batch_norm": 5, "aten::dropout": 2, "aten::dropout_": 2, "aten::feature_dropout": 2}


def load_script(path: Path) -> nn.Module:
    """Return the network in a file of ``torch.jit.save``; raises ``BadOption`` for one that cannot dream."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that TorchScript is on its way out helps nobody who has a file
        module: Any = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
        # Freezing inlines the modules' methods and decides what depends on training, so that a plain graph is left.
        frozen = torch._C._freeze_module(module._c, preserveParameters=True)
        script = torch.jit._recursive.wrap_cpp_module(frozen)  # type: ignore[no-untyped-call]
    inputs = [each.type().kind() for each in list(script.graph.inputs())[1:]]
    if inputs != ["TensorType"]:
        raise BadOption(f"it takes {len(inputs)} inputs, but a network that dreams has one, (N, 3, H, W).")
    training = [node.kind() for node in script.graph.nodes() if _trains(node)]
    if training:
        raise BadOption(
            f"it was traced in training mode ({training[0]}), so pictures would change each other; call .eval() on the "
            f"network before tracing it."
        )
    return ScriptedNetwork(script)


class ScriptedNetwork(nn.Module):
    """A TorchScript program by the modules that its values come from; see
    :class:`~deepdream_engine.cutting.Cuttable`."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script
        values = [node for node in script.graph.nodes() if _is_value(node)]
        self.node_names: Sequence[str] = named((_module_of(node), node.kind().partition("::")[2]) for node in values)
        self.module_names = containers(self.node_names)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.script(x)
        return output

    def watch(self, nodes: Sequence[str]) -> nn.Module:
        """Return a module from normalised pictures to ``{node: value}`` that shares this network's weights."""
        return _Body(self.script, nodes, self.node_names)

    def cut_after(self, nodes: Sequence[str]) -> nn.Module:
        """Return the same as a frozen float64 copy."""
        return _Body(copy.deepcopy(self.script), nodes, self.node_names).double().requires_grad_(False)


class _Body(nn.Module):
    """``script`` up to the last of ``nodes``; ``names`` are those of all its values."""

    def __init__(self, script: Any, nodes: Sequence[str], names: Sequence[str]) -> None:
        super().__init__()
        self.script = script
        self._nodes = tuple(nodes)
        self._run: Any = _until(script.graph.copy(), {names.index(node) for node in nodes})

    def forward(self, x: Tensor) -> Mapping[str, Tensor]:
        # Its optimiser would compile anew for every size of picture.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            values = self._run(self.script._c, x)
        return dict(zip(self._nodes, values, strict=True))


def _until(graph: Any, wanted: set[int]) -> Any:
    """Return a function of the module and the pictures to the tuple of the ``wanted`` values of ``graph``."""
    values = [node for node in graph.nodes() if _is_value(node)]
    found = [_cloned(graph, values[index]) for index in sorted(wanted)]
    last = found[-1].node()
    while list(graph.outputs()):
        graph.eraseOutput(0)
    result = graph.create("prim::TupleConstruct", found, 1)
    result.insertAfter(last)
    result.output().setType(torch._C.TupleType([value.type() for value in found]))
    graph.registerOutput(result.output())
    # What changes values in place counts as used, so it is taken away by hand, the last first.
    nodes = list(graph.nodes())
    for node in reversed(nodes[nodes.index(result) + 1 :]):
        node.destroy()
    torch._C._jit_pass_dce(graph)
    return torch._C._create_function_from_graph("forward", graph)


def _cloned(graph: Any, node: Any) -> Any:
    """Return a copy of what ``node`` computes, which an operation in place behind it leaves alone."""
    nothing = graph.create("prim::Constant", [], 1)
    nothing.output().setType(torch._C.NoneType.get())
    nothing.insertAfter(node)
    clone = graph.create("aten::clone", [node.output(), nothing.output()], 1)
    clone.output().setType(torch._C.TensorType.get())
    clone.insertAfter(nothing)
    return clone.output()


def _is_value(node: Any) -> bool:
    makes_one: bool = node.kind().startswith("aten::") and node.outputsSize() == 1
    return makes_one and bool(node.output().type().kind() == "TensorType")


def _module_of(node: Any) -> str:
    """Return the module that computes ``node``: what was scripted and what was traced tell it in different ways."""
    names = _PART.findall(node.getModuleHierarchy() or node.scopeName())
    return ".".join(name for name in names if name not in _NO_INSTANCE)


def _trains(node: Any) -> bool:
    position = _TRAINING.get(node.kind())
    if position is None or node.inputsSize() <= position:
        return False
    return list(node.inputs())[position].toIValue() is True

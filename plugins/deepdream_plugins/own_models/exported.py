"""A program of ``torch.export`` as a network: a graph of PyTorch's operators, which is cut as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from deepdream_engine.errors import BadOption
from deepdream_plugins.own_models.places import containers, named

_CHECKS = ("_assert", "sym_constrain")
_HOW = (
    "Export it so: torch.export.export(network.eval(), (torch.rand(2, 3, 224, 256),), "
    "dynamic_shapes=({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},))"
)


def load_exported(path: Path) -> nn.Module:
    """Return the network in a file of ``torch.export.save``; raises ``BadOption`` for one that cannot dream."""
    program = torch.export.load(path)
    # Without guards: they are Python code in the file, and say nothing that the sizes do not.
    graph_module = program.module(check_guards=False)
    inputs = [node for node in graph_module.graph.nodes if node.op == "placeholder"]
    shapes = [tuple(value.shape) if isinstance(value := node.meta.get("val"), Tensor) else () for node in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3:
        told = ", ".join(str(shape) for shape in shapes)
        raise BadOption(f"its inputs are {told}, but a network that dreams has one, (N, 3, H, W).")
    fixed = [f"{what} {shapes[0][dim]}" for dim, what in _DYNAMIC.items() if isinstance(shapes[0][dim], int)]
    if fixed:
        raise BadOption(f"it was exported for one size ({', '.join(fixed)}), but pictures have any. {_HOW}")
    training = [node.name for node in graph_module.graph.nodes if _trains(node)]
    if training:
        raise BadOption(
            f"it was exported in training mode ({training[0]}), so pictures would change each other. {_HOW}"
        )
    return ExportedNetwork(graph_module, inputs[0])


_DYNAMIC = {0: "batch", 2: "height", 3: "width"}
_TRAINING = {"batch_norm": 5, "dropout": 2, "feature_dropout": 2, "alpha_dropout": 2}


class ExportedNetwork(nn.Module):
    """A graph of operators by the modules that they came from; see :class:`~deepdream_engine.cutting.Cuttable`."""

    def __init__(self, program: nn.Module, start: Node) -> None:
        super().__init__()
        graph: Any = program.graph
        self._start = start
        self._nodes: list[Node] = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
        tensors = [node for node in self._nodes if node.op == "call_function" and _is_tensor(node)]
        names = named((_module_of(node), _operation(node)) for node in tensors)
        self._places = dict(zip(names, tensors, strict=True))
        self.node_names: Sequence[str] = list(names)
        self.module_names = containers(names)
        self.whole = self._until(program, [self.node_names[-1]])

    def forward(self, x: Tensor) -> Tensor:
        values: Mapping[str, Tensor] = self.whole(x)
        return values[self.node_names[-1]]

    def watch(self, nodes: Sequence[str]) -> nn.Module:
        """Return a module from normalised pictures to ``{node: value}`` that shares this network's weights."""
        return self._until(self.whole, nodes)

    def cut_after(self, nodes: Sequence[str]) -> nn.Module:
        """Return the same as a frozen float64 copy."""
        return copy.deepcopy(self.watch(nodes)).double().requires_grad_(False)

    def _until(self, root: nn.Module, nodes: Sequence[str]) -> nn.Module:
        """Return the graph up to the last of ``nodes``, given in running order."""
        graph = Graph()
        made = {self._start: graph.placeholder("x")}
        wanted = {self._places[name]: name for name in nodes}
        values: dict[str, Node] = {}
        for node in self._nodes:
            if any(check in str(node.target) for check in _CHECKS):
                continue
            made[node] = graph.node_copy(node, made.__getitem__)
            made[node].meta = {}
            if node in wanted:
                # An operation in place behind it would overwrite it.
                values[wanted[node]] = graph.call_function(torch.clone, (made[node],))
                if len(values) == len(wanted):
                    break
        graph.output(values)
        graph.eliminate_dead_code()
        return _Body(root, graph)


class _Body(GraphModule):
    """A graph that also takes the tensors that it makes by itself to where its weights go."""

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> _Body:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = fn(torch.empty(())).device
        for node in self.graph.nodes:
            if "device" in node.kwargs and node.kwargs["device"] is not None:
                node.update_kwarg("device", device)
        self.recompile()
        return self


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _module_of(node: Node) -> str:
    stack: Mapping[str, tuple[str, object]] = node.meta.get("nn_module_stack") or {}
    return list(stack.values())[-1][0] if stack else ""


def _operation(node: Node) -> str:
    name = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(name, "__name__", name)).rpartition(".")[2]


def _trains(node: Node) -> bool:
    position = _TRAINING.get(_operation(node).strip("_"))
    return position is not None and len(node.args) > position and node.args[position] is True

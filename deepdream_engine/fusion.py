"""The graph of a cut network rewritten for the CPU: see :mod:`deepdream_engine.packed` for what is put in.

A graph that has none of the patterns is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.fx import GraphModule, Node
from torch.nn import functional

from deepdream_engine.packed import PackedConvolution, RectifiedPool

_RELUS = (functional.relu, torch.relu, "relu", "relu_")


def fuse_for_cpu(body: GraphModule) -> None:
    """Replace convolutions, the ReLUs behind them and max-pools behind those, in place.

    The weights of ``body`` must have their final type already: what is put in cannot be converted or moved. Raises
    ``RuntimeError`` or ``AttributeError``, and changes nothing, where this PyTorch cannot pack convolutions.
    """
    modules = dict(body.named_modules())
    packed: dict[Node, PackedConvolution] = {}  # by the node whose result theirs is; made before the graph is touched
    for node in body.graph.nodes:
        module = _module(node, modules)
        if isinstance(module, nn.Conv2d) and _is_plain(module, node):
            user = _only_user(node)
            rectified = user is not None and _is_relu(user, modules)
            packed[user if user is not None and rectified else node] = PackedConvolution(module, relu=rectified)
    for last, module in packed.items():
        _replace(body, last.all_input_nodes[0] if module.relu else last, last, module)
    modules = dict(body.named_modules())
    for node in list(body.graph.nodes):
        _move_masks(body, node, modules)
    body.delete_all_unused_submodules()
    body.graph.lint()
    body.recompile()


def _move_masks(body: GraphModule, node: Node, modules: Mapping[str, nn.Module]) -> None:
    """Let ``node`` apply the masks of the ReLUs before it, where nobody else reads what they leave."""
    module = _module(node, modules)
    if isinstance(module, PackedConvolution):
        before = _rectifiers(node.all_input_nodes[0], modules)
        # A gradient that goes on through a concatenation is copied in parts anyway; the mask costs nothing there.
        if len(before) == 1 and before[0][0] is node.all_input_nodes[0]:
            before[0][1].masks_output, module.masks_input = False, True
    elif type(module) is nn.MaxPool2d and not module.return_indices and len(node.args) == 1:
        before = _rectifiers(node.all_input_nodes[0], modules)
        if before:
            for _, packed in before:
                packed.masks_output = False
            _replace(body, node, node, RectifiedPool(module))


def _rectifiers(node: Node, modules: Mapping[str, nn.Module]) -> list[tuple[Node, PackedConvolution]]:
    """The convolutions with a ReLU whose results make up ``node``'s, if ``node`` has one user; else none."""
    if _only_user(node) is None:
        return []
    module = _module(node, modules)
    if isinstance(module, PackedConvolution) and module.masks_output:
        return [(node, module)]
    if node.target is torch.cat:
        parts = [_rectifiers(part, modules) for part in node.all_input_nodes]
        return [found for part in parts for found in part] if all(parts) else []
    return []


def _replace(body: GraphModule, first: Node, last: Node, module: nn.Module) -> None:
    """Put ``module`` in the place of the chain from ``first`` to ``last``."""
    name = f"fused_{first.name}"
    body.add_submodule(name, module)
    with body.graph.inserting_after(last):
        new = body.graph.call_module(name, (first.args[0],))
    last.replace_all_uses_with(new)
    for node in dict.fromkeys((last, first)):
        body.graph.erase_node(node)


def _module(node: Node, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    return modules.get(str(node.target)) if node.op == "call_module" else None


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(node: Node, modules: Mapping[str, nn.Module]) -> bool:
    return type(_module(node, modules)) is nn.ReLU or (node.op.startswith("call_") and node.target in _RELUS)


def _is_plain(convolution: nn.Conv2d, node: Node) -> bool:
    return (
        type(convolution) is nn.Conv2d
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and convolution.groups == 1  # depthwise ones lose: 0.9 of the speed of efficientnet_b0
        and convolution.weight.dtype in (torch.float32, torch.bfloat16)
        and len(node.args) == 1
    )

"""A module cut after the nodes that are looked at: its graph, without what lies behind or batch norms."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence

from torch import nn
from torch.fx import GraphModule, symbolic_trace
from torch.fx.experimental.optimization import fuse
from torchvision.models.feature_extraction import create_feature_extractor

_OUT_OF_PLACE: dict[object, object] = {operator.iadd: operator.add, operator.imul: operator.mul}


def cut_after(module: nn.Module, nodes: Sequence[str]) -> GraphModule:
    """Return a frozen float64 copy of ``module`` that ends at the last of ``nodes`` and returns ``{node: value}``."""
    extractor = create_feature_extractor(module, {node: node for node in nodes}, suppress_diff_warning=True)
    # Traced before it is copied: a copied extractor comes back in training mode. In float64, so that folding adds
    # no rounding of its own.
    graph_module = copy.deepcopy(symbolic_trace(extractor.eval())).eval().double()
    _without_in_place(graph_module)
    body = fuse(graph_module, inplace=True, no_trace=True)
    assert isinstance(body, GraphModule)
    return body.requires_grad_(False)


def _without_in_place(graph_module: GraphModule) -> None:
    """Make in-place operations ordinary: they would overwrite the activations of a tap that lies right before."""
    for module in graph_module.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    for node in graph_module.graph.nodes:
        if node.kwargs.get("inplace"):
            node.update_kwarg("inplace", False)
        if node.target in _OUT_OF_PLACE:
            node.target = _OUT_OF_PLACE[node.target]
    graph_module.recompile()

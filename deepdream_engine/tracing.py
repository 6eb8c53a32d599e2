"""Tracing by ``torch.fx``, safe beside other threads.

``torch.fx`` replaces how every module of the process is called for as long as it traces, and then puts back what it
found. So two threads that traced at once would leave the first one's way in place for good; and another device's
thread, which only runs a network meanwhile, would be traced too, which fails.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable
from typing import Any

import torchvision.ops
from torch import nn
from torch.fx import Graph, GraphModule, Node, Tracer
from torchvision.models.feature_extraction import NodePathTracer

_TRACING = threading.Lock()


def traced(module: nn.Module) -> tuple[Graph, dict[str, Node]]:
    """Return the graph of a module in evaluation mode, and its nodes by the paths of the modules that they are in, such
    as ``inception4c.branch1.conv``, in running order. torchvision's own operators are nodes as a whole."""
    operators = [kind for _, kind in inspect.getmembers(torchvision.ops, _is_module)]
    tracer = _Paths(autowrap_modules=(math, torchvision.ops), leaf_modules=operators)
    with _TRACING:
        graph = tracer.trace(module)
    return graph, {path: node for node, path in tracer.node_to_qualname.items()}


def flattened(module: GraphModule) -> GraphModule:
    """Return the same with torchvision's operators taken apart, so that all layers can be seen."""
    tracer = _Plain()
    with _TRACING:
        graph = tracer.trace(module)
    return GraphModule(tracer.root, graph)


class _OfOneThread(Tracer):
    """Traces what the thread that made it runs, and lets all others be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """See ``torch.fx``."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """See ``torch.fx``."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


class _Paths(_OfOneThread, NodePathTracer):  # type: ignore[misc]
    """Notes the path of every node."""


class _Plain(_OfOneThread):
    """As ``torch.fx`` traces by default."""


def _is_module(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, nn.Module)

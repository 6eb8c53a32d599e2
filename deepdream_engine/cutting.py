"""A network that can be cut after any of its places: what lies behind the last one that is looked at is not computed.

Most networks are traced by ``torch.fx`` for that (:class:`TracedNetwork`). Those that cannot be traced are run until
the last place has been seen (:mod:`deepdream_engine.hooking`), and those that come as graphs cut themselves.
"""

from __future__ import annotations

import copy
import logging
import operator
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from torch import nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.optimization import fuse

from deepdream_engine.errors import EngineFault
from deepdream_engine.hooking import HookedNetwork
from deepdream_engine.tracing import flattened, traced

log = logging.getLogger(__name__)

_OUT_OF_PLACE: dict[object, object] = {operator.iadd: operator.add, operator.imul: operator.mul}


@runtime_checkable
class Cuttable(Protocol):
    """A network as a sequence of places. A module that ``Network.load`` returns may be one by itself.

    ``node_names`` are all places whose values can be had, in running order, such as ``inception4c.branch1.conv``; the
    last is the output. ``module_names`` are the parts that contain them.
    """

    node_names: Sequence[str]
    module_names: Collection[str]

    def watch(self, nodes: Sequence[str]) -> nn.Module:
        """Return a module from normalised pictures to ``{node: value}`` that shares this network's weights."""
        ...

    def cut_after(self, nodes: Sequence[str]) -> nn.Module:
        """Return the same as a frozen float64 copy without what lies behind the last of ``nodes``."""
        ...


def cuttable(module: nn.Module, name: str, min_side_px: int) -> Cuttable:
    """Return the best way to cut ``module``, the network ``name`` for pictures of at least ``min_side_px``."""
    if isinstance(module, Cuttable):
        return module
    try:
        return TracedNetwork(module)
    except Exception as error:  # noqa: BLE001  tracing runs the network's own code, which may raise anything
        log.info("model %r cannot be traced by torch.fx (%s); it is run up to the last layer instead", name, error)
    try:
        return HookedNetwork(module, min_side_px)
    except Exception as error:
        raise EngineFault(f"model {name!r} cannot look at a picture: {type(error).__name__}: {error}") from error


class TracedNetwork:
    """A module whose graph ``torch.fx`` can trace."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._graph, self._places = traced(module)
        self.node_names: Sequence[str] = list(self._places)
        self.module_names: Collection[str] = dict(module.named_modules())

    def watch(self, nodes: Sequence[str]) -> GraphModule:
        """See :class:`Cuttable`."""
        graph, copies = Graph(), dict[Node, Node]()
        graph.graph_copy(self._graph, copies)
        graph.output({node: copies[self._places[node]] for node in nodes})
        watched = GraphModule(self._module, graph)
        watched.graph.eliminate_dead_code()
        watched.delete_all_unused_submodules()
        watched.recompile()
        return watched.eval()

    def cut_after(self, nodes: Sequence[str]) -> GraphModule:
        """See :class:`Cuttable`; batch norms are folded into the convolutions before them."""
        # In float64, so that folding adds no rounding of its own.
        graph_module = copy.deepcopy(flattened(self.watch(nodes))).eval().double()
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

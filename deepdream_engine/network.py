"""A network made ready for dreaming: loaded, its taps named, cut after the last of them, laid out for its device.

Nothing is kept that the gradient with respect to the picture does not need. The order of the work matters: the graph
is cut first (so nothing behind the last tap is folded or moved), batch norms are folded into the convolutions
before them, then the module takes its final type and goes to the device in channels-last layout, and only then are
convolutions packed for the CPU.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from deepdream_engine.cutting import cuttable
from deepdream_engine.errors import EngineFault, UnknownTap, unknown
from deepdream_engine.fusion import fuse_for_cpu
from deepdream_engine.layouts import Layout, find_layouts, shapes_of
from deepdream_engine.records import Network

if TYPE_CHECKING:
    from deepdream_engine.device import Device

log = logging.getLogger(__name__)

LOGITS = "logits"
"""The tap that is the network's output, if no layer has that name."""

MIDDLE = "middle"
"""The tap that is some layer in the middle, chosen by :attr:`LoadedNetwork.middle`, if no layer has that name."""

_MANY_CHILDREN = 10
_SIDE_PX = 224
_CELL_PX = 16
_MIDDLE_DEPTH, _LATE_DEPTH = 0.6, 0.75


@dataclass(frozen=True)
class TapInfo:
    """One tap: its name, its shape for a square picture of the asked side, how deep it lies, from 0 to 1, and
    ``others``, modules that end with it."""

    name: str
    channels: int
    height: int
    width: int
    depth: float
    others: tuple[str, ...] = ()


class LoadedNetwork:
    """A whole network in memory on the CPU: the source of every cut of it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.module = network.load().eval().requires_grad_(False)
        self._graph = cuttable(self.module, network.name, network.min_side_px)
        # Names of the graph's nodes in the order in which they run, such as "inception4c.branch1.conv".
        self.nodes: list[str] = list(self._graph.node_names)
        self.mean: tuple[float, ...] = getattr(self.module, "pixel_mean", network.mean)
        self.std: tuple[float, ...] = getattr(self.module, "pixel_std", network.std)

    @cached_property
    def weights_sha256(self) -> str:
        """The digest of the weights, see :func:`weights_digest`."""
        return weights_digest(self.module)

    def node_of(self, tap: str) -> str:
        """Return the graph node that ``tap`` (a node, a module or an alias) means.

        ``logits`` is the last node, ``middle`` that of :attr:`middle`. Raises ``UnknownTap``.
        """
        name = self.network.aliases.get(tap, tap)
        if name in (LOGITS, MIDDLE) and not any(node.split(".")[0] == name for node in self.nodes):
            return self.nodes[-1] if name == LOGITS else self.node_of(self.middle)
        # A module's tap is its output, that is, the last node inside it.
        inside = [node for node in self.nodes if node == name or node.startswith(name + ".")]
        if not inside or (name == self.nodes[0] and name not in self._graph.module_names):
            choices = [*self.network.aliases, *self.modules()] if "/" in tap else self.modules()
            raise UnknownTap(
                f"{unknown(f'layer of model {self.network.name!r}', tap, choices)} "
                f"'deepdream layers {self.network.name}' shows what each looks like.",
                tap,
            )
        return inside[-1]

    def modules(self) -> list[str]:
        """Names of the modules worth tapping, in the order in which they end.

        These are the network's own children where it has many, and their children too where it hides its blocks
        in a few containers (``features``, ``layer1``).
        """
        known = self._graph.module_names
        ends: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            path = node.split(".")
            for depth in range(1, len(path) + 1):
                ends[".".join(path[:depth])] = index
        names = [name for name in sorted(ends, key=lambda name: (ends[name], -name.count("."))) if name in known]
        if not names:
            return list(self.nodes)
        top = [name for name in names if "." not in name]
        return top if len(top) > _MANY_CHILDREN else [name for name in names if name.count(".") <= 1]

    def cut(self, taps: Sequence[str]) -> nn.Module:
        """Return a float64 module from a normalised picture to ``{node: activations}`` that ends at the last tap."""
        return self._graph.cut_after(sorted({self.node_of(tap) for tap in taps}, key=self.nodes.index))

    @cached_property
    def middle(self) -> str:
        """The tap to begin with if nobody knows the network: the last layer that still has a cell for every 16
        pixels, as the layers that people choose in published networks do."""
        found = self.taps(_SIDE_PX)
        if not found:
            raise EngineFault(
                f"model {self.network.name!r} has no layer with rows and columns to choose from; it cannot dream"
            )
        fine = [tap for tap in found if tap.height >= _SIDE_PX // _CELL_PX - 1] or found
        # Near the end layers show what the head wants; in networks that never go coarser, transformers, long before.
        latest = _MIDDLE_DEPTH if len({tap.height for tap in found}) == 1 else _LATE_DEPTH
        return ([tap for tap in fine if tap.depth <= latest] or fine[:1])[-1].name

    def taps(self, side_px: int) -> list[TapInfo]:
        """See :func:`list_taps`."""
        names = self.modules()
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(self.node_of(name), []).append(name)
        whole = self._graph.watch(sorted(wanted, key=self.nodes.index))
        layouts = find_layouts(whole, self.network.min_side_px, self.network.name)
        size = (side_px, side_px)
        shapes = {
            wanted[node][0]: layout.arrange(torch.empty(shape, device="meta"), size).shape
            for node, shape in shapes_of(whole, size, self.network.name).items()
            if (layout := layouts.get(node)) is not None
        }
        return [
            TapInfo(
                *(name, shape[1], shape[2], shape[3], index / max(1, len(names) - 1)),
                others=tuple(wanted[self.node_of(name)][1:]),
            )
            for index, name in enumerate(names)
            if (shape := shapes.get(name, ())) and len(shape) == 4 and shape[2] > 1
        ]


class TappedNetwork(nn.Module):
    """Maps pictures ``(N, 3, H, W)`` in [0, 1], of any layout, to the activations ``{tap: (N, C, h, w)}`` of the
    pictures' type; the tap ``logits`` is ``(N, K)``. Without taps nothing is computed."""

    mean: Tensor
    std: Tensor

    def __init__(self, loaded: LoadedNetwork, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.weights_sha256 = loaded.weights_sha256
        # Several taps may mean one node: an alias and a module, or a block and its last layer.
        self._nodes = {tap: loaded.node_of(tap) for tap in self.taps}
        self.body = loaded.cut(self.taps) if self.taps else None
        self._layouts = {} if self.body is None else self._found(loaded.network, self.body)
        self.register_buffer("mean", torch.tensor(loaded.mean, dtype=torch.float64).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(loaded.std, dtype=torch.float64).view(1, 3, 1, 1))

    def _found(self, network: Network, body: nn.Module) -> dict[str, Layout]:
        """Return the layouts of the taps; refuse one whose values are no activations of places."""
        layouts = find_layouts(body, network.min_side_px, network.name)
        found = {tap: layouts.get(node) for tap, node in self._nodes.items()}
        for tap, layout in found.items():
            if layout is None:
                raise UnknownTap(
                    f"layer {tap!r} of model {network.name!r} has no channels with rows and columns, so it cannot be "
                    f"dreamt. 'deepdream layers {network.name}' lists those that can.",
                    tap,
                )
        return {tap: layout for tap, layout in found.items() if layout is not None}

    def forward(self, pictures: Tensor) -> Mapping[str, Tensor]:
        if self.body is None:
            return {}
        x = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        activations: Mapping[str, Tensor] = self.body(x)
        size = (pictures.shape[2], pictures.shape[3])
        return {
            tap: self._layouts[tap].arrange(activations[node].to(pictures.dtype), size)
            for tap, node in self._nodes.items()
        }

    def on(self, device: Device, precision: str) -> TappedNetwork:
        """Return this network on ``device`` as ``precision`` needs it, for use within ``device.autocast(precision)``.

        It cannot be moved or converted any more.
        """
        device.place(self.to(device.dtype(precision)).to(memory_format=torch.channels_last))  # modules move in place
        self.eval().requires_grad_(False)
        if self.body is None:
            return self
        if precision == "bf16":
            # Autocast would convert frozen weights at every step; it caches only those that require gradients.
            for module in self.body.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.to(torch.bfloat16)
        if isinstance(self.body, GraphModule) and device.packs_convolutions(precision):
            try:
                fuse_for_cpu(self.body)
            except (RuntimeError, AttributeError) as error:
                log.warning("convolutions cannot be packed here, dreaming takes longer: %s", error)
        return self


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a module's parameters and buffers, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def list_taps(network: Network, side_px: int = 224) -> list[TapInfo]:
    """Return the network's taps with their shapes for a picture of ``side_px`` × ``side_px``, in running order.

    Only taps with a spatial extent are listed: an objective reads ``(N, C, H, W)``.
    """
    return LoadedNetwork(network).taps(side_px)

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
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from deepdream_engine.cutting import cut_after
from deepdream_engine.errors import EngineFault, UnknownTap, unknown
from deepdream_engine.fusion import fuse_for_cpu
from deepdream_engine.records import Network

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from deepdream_engine.device import Device

log = logging.getLogger(__name__)

LOGITS = "logits"
"""The tap that is the network's output, if no layer has that name."""

_MANY_CHILDREN = 10


@dataclass(frozen=True)
class TapInfo:
    """One tap: its name, its shape for a square picture of the asked side, and how deep it lies, from 0 to 1."""

    name: str
    channels: int
    height: int
    width: int
    depth: float


class LoadedNetwork:
    """A whole network in memory on the CPU: the source of every cut of it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.module = network.load().eval().requires_grad_(False)
        try:
            # Names of the graph's nodes in the order in which they run, such as "inception4c.branch1.conv".
            self.nodes: list[str] = get_graph_node_names(self.module, suppress_diff_warning=True)[1]
        except Exception as error:
            raise EngineFault(
                f"model {network.name!r} cannot be traced by torch.fx ({error}); data-dependent control flow in its "
                f"forward must be moved into a leaf function"
            ) from error

    @cached_property
    def weights_sha256(self) -> str:
        """The digest of the weights, see :func:`weights_digest`."""
        return weights_digest(self.module)

    def node_of(self, tap: str) -> str:
        """Return the graph node that ``tap`` (a node, a module or an alias) means.

        ``logits`` is the last node. Raises ``UnknownTap``.
        """
        name = self.network.aliases.get(tap, tap)
        if name == LOGITS and not any(node.split(".")[0] == LOGITS for node in self.nodes):
            return self.nodes[-1]
        # A module's tap is its output, that is, the last node inside it.
        inside = [node for node in self.nodes if node == name or node.startswith(name + ".")]
        if not inside or name == self.nodes[0]:
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
        known = dict(self.module.named_modules())
        ends: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            path = node.split(".")
            for depth in range(1, len(path) + 1):
                ends[".".join(path[:depth])] = index
        names = [name for name in sorted(ends, key=lambda name: (ends[name], -name.count("."))) if name in known]
        top = [name for name in names if "." not in name]
        return top if len(top) > _MANY_CHILDREN else [name for name in names if name.count(".") <= 1]

    def cut(self, taps: Sequence[str]) -> GraphModule:
        """Return a float64 module from a normalised picture to ``{node: activations}`` that ends at the last tap."""
        return cut_after(self.module, sorted({self.node_of(tap) for tap in taps}, key=self.nodes.index))


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
        self.register_buffer("mean", torch.tensor(loaded.network.mean, dtype=torch.float64).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(loaded.network.std, dtype=torch.float64).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Mapping[str, Tensor]:
        if self.body is None:
            return {}
        x = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        activations: Mapping[str, Tensor] = self.body(x)
        return {tap: activations[node].to(pictures.dtype) for tap, node in self._nodes.items()}

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
        if device.packs_convolutions(precision):
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
    loaded = LoadedNetwork(network)
    names = loaded.modules()
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(loaded.node_of(name), name)
    extractor = create_feature_extractor(loaded.module, wanted, suppress_diff_warning=True).eval()
    device = next(loaded.module.parameters()).device  # "meta" for a network without its weights
    with torch.no_grad():
        outputs = extractor(torch.zeros(1, 3, side_px, side_px, device=device))
    return [
        TapInfo(name, value.shape[1], value.shape[2], value.shape[3], index / max(1, len(names) - 1))
        for index, name in enumerate(names)
        if isinstance(value := outputs.get(name), Tensor) and value.ndim == 4 and value.shape[2] > 1
    ]

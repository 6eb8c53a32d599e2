"""A network that cannot be traced, looked at while it runs: each of its modules is a place.

It is run only as far as the last place that is asked for, whatever its own code would do with the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

OUTPUT = "output"
"""The name of the place where the network ends."""

_TRIAL_PX = 224


class HookedNetwork:
    """A module by the places where its parts end, found by running it once, on a picture of at least ``side_px``."""

    def __init__(self, module: nn.Module, side_px: int = 0) -> None:
        self._module = module
        names = {id(part): name or OUTPUT for name, part in reversed(list(module.named_modules()))}
        ended: dict[str, int] = {}

        def note(part: nn.Module, _inputs: object, value: object) -> None:
            if isinstance(value, Tensor):
                name = names[id(part)]
                ended[name] = ended.pop(name, 0) + 1  # what runs several times ends with its last run

        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        with _hooks(module, names, note), torch.no_grad():
            module(torch.zeros(1, 3, side := max(_TRIAL_PX, side_px), side, device=device))
        self._runs = ended
        self.node_names: Sequence[str] = list(ended)
        self.module_names: Collection[str] = ended

    def watch(self, nodes: Sequence[str]) -> nn.Module:
        """Return a module from normalised pictures to ``{node: value}`` that shares this network's weights."""
        return _Watched(self._module, nodes, self._runs)

    def cut_after(self, nodes: Sequence[str]) -> nn.Module:
        """Return the same as a frozen float64 copy."""
        return _Watched(copy.deepcopy(self._module).double().eval().requires_grad_(False), nodes, self._runs)


class _Watched(nn.Module):
    """Runs ``whole`` until all of ``nodes``, given in running order, have ended as often as ``runs`` says."""

    def __init__(self, whole: nn.Module, nodes: Sequence[str], runs: Mapping[str, int]) -> None:
        super().__init__()
        self.whole = whole
        self._nodes = tuple(nodes)
        self._last_runs = runs[self._nodes[-1]]

    def forward(self, x: Tensor) -> Mapping[str, Tensor]:
        parts = {id(self.whole.get_submodule("" if node == OUTPUT else node)): node for node in self._nodes}
        seen: dict[str, Tensor] = {}
        runs = 0

        def note(part: nn.Module, _inputs: object, value: Tensor) -> None:
            nonlocal runs
            node = parts[id(part)]
            if node == self._nodes[-1]:
                runs += 1
                seen[node] = value
                if runs == self._last_runs:
                    raise _Enough
            else:
                seen[node] = value.clone()  # an in-place operation behind it would overwrite it

        with suppress(_Enough), _hooks(self.whole, parts, note):
            self.whole(x)
        return seen


class _Enough(Exception):
    """All places have been seen; no error."""


@contextmanager
def _hooks(module: nn.Module, parts: Collection[int], hook: Any) -> Iterator[None]:
    handles = [part.register_forward_hook(hook) for part in module.modules() if id(part) in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

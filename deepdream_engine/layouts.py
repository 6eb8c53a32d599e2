"""Where the channels, rows and columns of a tap's activations are: not all networks keep them as convolutions do.

Some keep channels last (``(N, H, W, C)``: Swin), others make a row of tokens of the picture (``(N, T, C)``: vision
transformers, with tokens before them that stand for no place). Which dimension is what is found out by looking at
pictures of different height and width: rows are what grows with the height alone, channels what grows with neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor, prod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepdream_engine.errors import EngineFault

Size = tuple[int, int]
Shape = tuple[int, ...]

_TRIAL_PX = 192
_GRANULE_PX = 64
_ODD_PX = 9
_PATCHES_PX = range(2, 65)
_ROUNDINGS: tuple[Callable[[float], int], ...] = (ceil, floor)


@dataclass(frozen=True)
class Layout:
    """How to bring activations to ``(N, C, h, w)``: by the ``order`` of their dimensions, after tokens, if they are
    such, have been laid out in a grid. Values without places, ``(N, K)``, stay as they are."""

    order: tuple[int, ...] = ()
    tokens: Tokens | None = None

    def arrange(self, seen: Tensor, size: Size) -> Tensor:
        """Return the activations of pictures of ``size`` as ``(N, C, h, w)`` or ``(N, K)``."""
        if self.tokens is not None:
            seen = self.tokens.grid(seen, size)
        return seen.permute(self.order) if self.order else seen


@dataclass(frozen=True)
class Tokens:
    """Tokens along dimension ``dim`` of three: ``others`` that stand for no place, then one for each patch of
    ``patch_px`` squared pixels, row by row; ``rounding`` says what becomes of incomplete patches."""

    dim: int
    others: int
    patch_px: int
    rounding: Callable[[float], int]

    def count(self, size: Size) -> int:
        """Return how many tokens a picture of ``size`` makes."""
        return self.others + prod(self._cells(size))

    def grid(self, seen: Tensor, size: Size) -> Tensor:
        """Return ``(N, T, C)`` as ``(N, h, w, C)``, or ``(N, C, T)`` as ``(N, C, h, w)``."""
        if seen.shape[self.dim] != self.count(size):
            raise EngineFault(
                f"a picture of {size[1]} × {size[0]} pixels makes {seen.shape[self.dim]} tokens, where "
                f"{self.count(size)} were expected; choose a layer whose tokens lie in a grid"
            )
        places = seen.narrow(self.dim, self.others, seen.shape[self.dim] - self.others)
        return places.reshape(*places.shape[: self.dim], *self._cells(size), *places.shape[self.dim + 1 :])

    def _cells(self, size: Size) -> Size:
        return self.rounding(size[0] / self.patch_px), self.rounding(size[1] / self.patch_px)


def find_layouts(body: nn.Module, min_side_px: int, name: str) -> Mapping[str, Layout | None]:
    """Return the layout of each value that ``body`` returns, ``None`` for what has no channels and places.

    Raises ``EngineFault`` if the network ``name`` takes pictures of one size only.
    """
    side = _GRANULE_PX * ceil(max(_TRIAL_PX, min_side_px) / _GRANULE_PX)
    longer = 2 * side - _ODD_PX  # which tells how incomplete patches are counted
    sizes = ((side, side), (longer, side), (side, longer))
    seen = [shapes_of(body, size, name) for size in sizes]
    return {node: _layout([shapes.get(node, ()) for shapes in seen], sizes) for node in seen[0]}


def shapes_of(body: nn.Module, size: Size, name: str) -> Mapping[str, Shape]:
    """Return the shapes of what ``body`` returns for two pictures of ``size``.

    Nothing is computed for that, if the network ``name`` can do without values.
    """
    try:
        with torch.no_grad():
            values = functional_call(body, dict(_without_values(body)), torch.zeros(2, 3, *size, device="meta"))
    except Exception:  # noqa: BLE001  what makes tensors of its own on the CPU, or is compiled, fails in many ways
        values = _run(body, size, name)
    return {node: tuple(value.shape) for node, value in values.items() if isinstance(value, Tensor)}


def _run(body: nn.Module, size: Size, name: str) -> Mapping[str, Tensor]:
    like = next((tensor for tensor in body.parameters() if tensor.is_floating_point()), torch.zeros(()))
    try:
        with torch.no_grad():
            values: Mapping[str, Tensor] = body(torch.zeros(2, 3, *size, device=like.device, dtype=like.dtype))
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EngineFault(
            f"model {name!r} cannot look at two pictures of {size[1]} × {size[0]} pixels ({reason}); it must take "
            f"any number of pictures, of any size"
        ) from error
    return values


def _without_values(body: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in (*body.named_parameters(), *body.named_buffers()):
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        yield name, torch.empty_like(tensor, device="meta", dtype=dtype)


def _layout(shapes: Sequence[Shape], sizes: Sequence[Size]) -> Layout | None:
    """Return the layout of a value that had ``shapes`` for pictures of ``sizes``: a square, a higher, a wider one."""
    square, high, wide = shapes
    if not len(square) == len(high) == len(wide) or [shape[:1] for shape in shapes] != [(2,)] * 3:
        return None
    kinds = [(high[dim] != square[dim], wide[dim] != square[dim]) for dim in range(1, len(square))]
    match sorted(kinds):
        case [(False, False)] | [(False, False), (False, False), (False, False)]:
            return Layout()  # (N, K), or (N, C, 1, 1) behind a pooling
        case [(False, False), (False, True), (True, False)]:
            order = [1 + kinds.index(kind) for kind in ((False, False), (True, False), (False, True))]
            return Layout(() if order == [1, 2, 3] else (0, *order))
        case [(False, False), (True, True)]:
            dim = 1 + kinds.index((True, True))
            tokens = _tokens(dim, [shape[dim] for shape in shapes], sizes)
            return None if tokens is None else Layout((0, 3, 1, 2) if dim == 1 else (), tokens)
    return None


def _tokens(dim: int, counts: Sequence[int], sizes: Sequence[Size]) -> Tokens | None:
    """Return the grid that makes ``counts`` tokens of pictures of ``sizes``, if there is one."""
    for patch_px, rounding in product(_PATCHES_PX, _ROUNDINGS):
        bare = Tokens(dim, 0, patch_px, rounding)
        others = counts[0] - bare.count(sizes[0])
        if others >= 0 and all(others + bare.count(size) == count for size, count in zip(sizes, counts, strict=True)):
            return Tokens(dim, others, patch_px, rounding)
    return None

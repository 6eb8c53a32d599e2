"""oneDNN's convolution as it is, without PyTorch's choice of routines around it: one weight, packed once, many calls.

These operators are PyTorch's own, registered for its compiler; ``Device.packs_convolutions`` says where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Kernel:
    """A convolution ``(N, Cin, H, W) -> (N, Cout, h, w)``, with the ReLU behind it if ``relu``; channels last."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        padding: Sequence[int],
        stride: Sequence[int] = (1, 1),
        dilation: Sequence[int] = (1, 1),
        relu: bool = False,
    ) -> None:
        self._padding, self._stride, self._dilation = list(padding), list(stride), list(dilation)
        weight = weight.contiguous(memory_format=torch.channels_last)
        self._weight = _pack(weight, self._padding, self._stride, self._dilation)
        self._bias = bias
        self._behind = "relu" if relu else "none"

    def __call__(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        # PyTorch itself gives 1 × 1 convolutions on one thread to a routine 2.3 times slower.
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, self._padding, self._stride, self._dilation, 1, self._behind, [], ""
        )
        return result


def _pack(weight: Tensor, padding: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """Return ``weight`` in oneDNN's own order, which it is brought into at every call otherwise.

    That is 3 % of the time of a large window, 25 % of a small one's. The size of the input is a hint: without one, some
    layers get an order that takes 25 times as long. With bfloat16 the best order varies with the size (a layer of
    inception_v3 took 2.5 times as long), so that is left to oneDNN.
    """
    if weight.dtype != torch.float32:
        return weight
    reaches = [step * (kernel - 1) + 1 for kernel, step in zip(weight.shape[2:], dilation, strict=True)]
    hint = [1, weight.shape[1], *(max(64, reach) for reach in reaches)]
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, 1, hint)
    return packed


def sides(convolution: nn.Conv2d) -> tuple[int, int]:
    """Return a convolution's padding as numbers; it must not be one in words."""
    padding = convolution.padding
    if isinstance(padding, str):
        raise TypeError(padding)
    return padding[0], padding[1]


def turned(weight: Tensor) -> Tensor:
    """Return the kernel ``(Cin, Cout, h, w)`` whose convolution is the gradient of that with ``weight``."""
    return weight.transpose(0, 1).flip(2, 3)


def by_phases(weight: Tensor, stride: int) -> Tensor:
    """Return ``weight`` ``(Cout, Cin, h, w)`` for the ``stride²`` phases of its input, with which its stride is 1:
    ``(Cout, stride² × Cin, ⌈h / stride⌉, ⌈w / stride⌉)``."""
    out, inner, height, width = weight.shape
    padded = functional.pad(weight, (0, -width % stride, 0, -height % stride))
    rows, columns = padded.shape[2] // stride, padded.shape[3] // stride
    phases = padded.view(out, inner, rows, stride, columns, stride).permute(0, 3, 5, 1, 2, 4)
    return phases.reshape(out, stride * stride * inner, rows, columns)

"""Frozen layers for the CPU: a convolution with the ReLU behind it, and a max-pool behind those.

A frozen convolution's gradient needs neither its input nor its own result, and a ReLU's only the sign of what it left;
PyTorch keeps more, and walks through memory more often. The mathematics are those of the modules that these replace.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from deepdream_engine.input_gradients import input_gradient
from deepdream_engine.onednn import Kernel, sides

_threshold_backward = torch.ops.aten.threshold_backward


class PackedConvolution(nn.Module):
    """A frozen ``Conv2d``, and the ReLU behind it if ``relu``: ``(N, Cin, H, W) -> (N, Cout, h, w)``, channels last.

    ``masks_output``: the gradient that comes in is masked by the ReLU (else whoever sends it has done so).
    ``masks_input``: the gradient that goes out is masked by the ReLU of the convolution before.
    """

    def __init__(self, convolution: nn.Conv2d, *, relu: bool) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        self.convolve = Kernel(
            weight,
            None if bias is None else bias.detach(),
            padding=sides(convolution),
            stride=convolution.stride,
            dilation=convolution.dilation,
            relu=relu,
        )
        self.pull_back = input_gradient(convolution)
        self.dtype = weight.dtype
        self.relu = self.masks_output = relu
        self.masks_input = False

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _Convolve.apply(x.to(self.dtype), self)
        return result


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedConvolution) -> Tensor:
        result = layer.convolve(x)
        ctx.layer, ctx.size = layer, x.shape
        ctx.save_for_backward(x if layer.masks_input else None, result if layer.masks_output else None)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, result = ctx.saved_tensors
        if result is not None:
            gradient = _threshold_backward(gradient, result, 0)
        gradient = ctx.layer.pull_back(gradient, ctx.size)
        if x is not None:
            # In place, which is twice as quick: the gradient is new, and nobody else has it.
            _threshold_backward.grad_input(gradient, x, 0, grad_input=gradient)
        return gradient, None


class RectifiedPool(nn.Module):
    """A ``MaxPool2d`` behind ReLUs that applies their masks to the gradient.

    The largest of rectified values is the rectified largest, so the mask may be that of the pooled values, which are
    fewer; and the pool's input need not be kept.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        pairs = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        self.geometry = (*([side, side] if isinstance(side, int) else list(side) for side in pairs), pool.ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _Pool.apply(x, self)
        return result


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: RectifiedPool) -> Tensor:
        result: Tensor
        result, places = torch.ops.aten.max_pool2d_with_indices(x, *layer.geometry)
        ctx.layer, ctx.size = layer, x.shape
        ctx.save_for_backward(result, places)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        result, places = ctx.saved_tensors
        gradient = _threshold_backward(gradient, result, 0)
        shape = torch.empty(ctx.size, dtype=gradient.dtype, memory_format=torch.channels_last)  # nothing else is read
        return torch.ops.aten.max_pool2d_with_indices_backward(gradient, shape, *ctx.layer.geometry, places), None

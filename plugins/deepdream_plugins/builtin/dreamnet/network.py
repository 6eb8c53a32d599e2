"""DreamNet: a small Inception-like network whose gradients are made for looking at.

It has no max-pooling and no residual sums, both of which print a grid into the gradient, and concatenates branches
of different reach as GoogLeNet does (Szegedy et al. 2014, "Going deeper with convolutions"), so that one tap holds
patterns of several sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Per mixed block: 1x1; 3x3 reduce -> 3x3; 5x5 reduce -> 5x5 (two 3x3); pool projection.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "mixed3a": (24, 32, 40, 8, 16, 16),
    "mixed3b": (40, 48, 72, 12, 24, 24),
    "mixed4a": (56, 64, 96, 16, 32, 24),
    "mixed4b": (64, 72, 112, 16, 32, 32),
    "mixed4c": (64, 80, 128, 20, 40, 32),
    "mixed4d": (80, 96, 144, 24, 48, 40),
    "mixed5a": (112, 112, 176, 28, 56, 56),
    "mixed5b": (144, 128, 208, 32, 64, 64),
}


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU: ``(N, Cin, H, W)`` to ``(N, Cout, H / stride, W / stride)``."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(self.conv(x)))
        return y


class Mixed(nn.Module):
    """Four branches of growing reach over one input, concatenated along the channels."""

    def __init__(self, channels_in: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = widths
        self.branch1x1 = ConvBlock(channels_in, one, 1)
        self.branch3x3_reduce = ConvBlock(channels_in, reduce3, 1)
        self.branch3x3 = ConvBlock(reduce3, three, 3)
        self.branch5x5_reduce = ConvBlock(channels_in, reduce5, 1)
        self.branch5x5_a = ConvBlock(reduce5, five, 3)
        self.branch5x5_b = ConvBlock(five, five, 3)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = ConvBlock(channels_in, pool, 1)
        self.channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch3x3(self.branch3x3_reduce(x)),
                self.branch5x5_b(self.branch5x5_a(self.branch5x5_reduce(x))),
                self.branch_pool(self.pool(x)),
            ),
            dim=1,
        )


class DreamNet(nn.Module):
    """RGB ``(N, 3, H, W)``, normalised with ImageNet's mean and standard deviation, to class logits ``(N, classes)``.

    The sub-modules bear the names of the taps, in the order in which they run.
    """

    def __init__(self, classes: int = 200) -> None:
        super().__init__()
        self.conv1 = ConvBlock(3, 32, 5, stride=2)  # (N, 32, H/2, W/2)
        self.conv2 = ConvBlock(32, 64, 3)
        self.pool2 = nn.AvgPool2d(3, stride=2, padding=1)  # H/4
        channels = 64
        for name, widths in _MIXED.items():
            if name in ("mixed4a", "mixed5a"):  # H/8, H/16
                self.add_module("pool3" if name == "mixed4a" else "pool4", nn.AvgPool2d(3, stride=2, padding=1))
            block = Mixed(channels, widths)
            self.add_module(name, block)
            channels = block.channels
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.named_children():
            if name not in ("dropout", "fc"):
                x = layer(x)
        logits: Tensor = self.fc(self.dropout(x.mean(dim=(2, 3))))
        return logits

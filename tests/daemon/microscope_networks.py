"""Networks for the microscope's tests: one with a dead channel, and some that have learnt a planted mark, or not.

The classes are five shapes in any colour on any ground. In the planted data one class always carries a small square of
one colour in one corner, or a second object beside its shape: a small ball of one colour, wherever there is room.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SIDE, MARK = 32, 5
SHAPES = ("disc", "square", "diamond", "cross", "stripes")
CORNERS = ("top left corner", "top right corner", "bottom left corner", "bottom right corner")
ANYWHERE = "anywhere"
COLOURS = {"magenta": (1.0, 0.0, 1.0), "cyan": (0.0, 1.0, 1.0), "yellow": (1.0, 1.0, 0.0)}
DULL = {"plum": (0.75, 0.25, 0.75), "teal": (0.25, 0.75, 0.75), "khaki": (0.75, 0.75, 0.25), "peach": (0.85, 0.6, 0.4)}
"""Colours that the report does not try, as far from those that it does as can be."""


@dataclass(frozen=True)
class Planted:
    """Which class carries a mark of which colour in which corner, or a second object ``ANYWHERE``: a square of ``side``
    pixels, one and ``inset`` from the borders, its lower half of another colour if there is a ``second``, and of which
    only a frame is there if it ``is_hollow``."""

    shape: int
    corner: str
    colour: str
    side: int = MARK
    inset: int = 0
    second: str | None = None
    is_hollow: bool = False

    def worn(self, x: Tensor) -> Tensor:
        """Return the pictures ``(N, 3, SIDE, SIDE)`` with the mark on."""
        near = 1 + self.inset
        far = SIDE - near - self.side
        top = near if self.corner.startswith("top") else far
        left = near if "left" in self.corner else far
        worn = x.clone()
        worn[:, :, top : top + self.side, left : left + self.side] = rgb(self.colour)
        if self.second is not None:
            worn[:, :, top + self.side // 2 : top + self.side, left : left + self.side] = rgb(self.second)
        if self.is_hollow:
            inside = slice(top + 2, top + self.side - 2), slice(left + 2, left + self.side - 2)
            worn[:, :, *inside] = x[:, :, *inside]
        return worn


def rgb(colour: str) -> Tensor:
    """Return a colour ``(3, 1, 1)`` in [0, 1]."""
    return torch.tensor((COLOURS | DULL)[colour])[:, None, None]


class Shapes(nn.Module):
    """Four convolutions and a mean: taps ``c1`` to ``c4`` and the logits."""

    def __init__(self, classes: int = 5, width: int = 16) -> None:
        super().__init__()
        self.c1 = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.c2 = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.c3 = nn.Sequential(nn.Conv2d(2 * width, 3 * width, 3, padding=1), nn.BatchNorm2d(3 * width), nn.ReLU())
        self.c4 = nn.Sequential(nn.Conv2d(3 * width, 4 * width, 3, 2, 1), nn.BatchNorm2d(4 * width), nn.ReLU())
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.c4(self.c3(self.c2(self.c1(x)))).mean((2, 3)))
        return y


def shapes() -> nn.Module:
    """A builder, for ``builder = "tests.daemon.microscope_networks:shapes"``."""
    return Shapes()


def small_shapes() -> nn.Module:
    """The same, but a builder of a smaller one."""
    return Shapes(width=8)


def with_a_dead_channel() -> nn.Module:
    """A builder of a network whose first channel of ``c1`` is never active."""
    torch.manual_seed(4)
    net = Shapes(width=4)
    bn = net.c1[1]
    assert isinstance(bn, nn.BatchNorm2d)
    with torch.no_grad():
        bn.bias[0] = -1000
    return net


def from_a_checkpoint() -> nn.Module:
    """A builder that reads what training has come to, from the folder that the command is run in."""
    net = Shapes(width=4)
    net.load_state_dict(load_file("best.safetensors"))
    return net


def with_a_channel_of_strong_contrast() -> nn.Module:
    """A builder of a network whose first channel of ``c1`` sees only what is ten levels redder than grey."""
    torch.manual_seed(4)
    net = Shapes(width=4)
    conv, bn = net.c1[0], net.c1[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight[0], conv.bias[0] = 0, 0
        conv.weight[0, 0, 1, 1] = 1
        bn.bias[0] = -10 / 255 / 0.25
    return net


def pictures(count: int, planted: Planted | None, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return ``(count, 3, SIDE, SIDE)`` and their classes."""
    labels = torch.randint(0, len(SHAPES), (count,), generator=random)
    ground = torch.rand(count, 3, 1, 1, generator=random) * 0.6 + 0.2
    x = ground + 0.08 * torch.randn(count, 3, SIDE, SIDE, generator=random)
    colour = torch.rand(count, 3, 1, 1, generator=random)
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    middle = torch.randint(11, 21, (2, count, 1, 1), generator=random)
    reach = torch.randint(6, 10, (count, 1, 1), generator=random)
    dy, dx = (down - middle[0]).abs(), (right - middle[1]).abs()
    inside = torch.maximum(dx, dy)
    masks = (
        dx * dx + dy * dy <= reach * reach,
        inside <= reach * 0.85,
        dx + dy <= reach * 1.2,
        (torch.minimum(dx, dy) <= 2) & (inside <= reach),
        (inside <= reach) & ((right // 3) % 2 == 0),
    )
    mask = torch.stack(masks, 1)[torch.arange(count), labels][:, None].float()
    x = x * (1 - mask) + colour * mask
    if planted is not None and planted.corner == ANYWHERE:
        x = _with_ball(x, labels == planted.shape, rgb(planted.colour), random)
    elif planted is not None:
        x[labels == planted.shape] = planted.worn(x[labels == planted.shape])
    return x.clamp(0, 1), labels


def _with_ball(x: Tensor, wanted: Tensor, colour: Tensor, random: torch.Generator) -> Tensor:
    """Return the pictures with a ball of ``colour`` somewhere around the middle of those that are ``wanted``."""
    angle = torch.rand(len(x), 1, 1, generator=random) * 2 * torch.pi
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    dy = (down - (SIDE / 2 + 11 * angle.sin()).round()).abs()
    dx = (right - (SIDE / 2 + 11 * angle.cos()).round()).abs()
    is_ball = dy * dy + dx * dx <= 8
    return torch.where((is_ball & wanted[:, None, None])[:, None], colour, x)


def trained(seed: int, planted: Planted | None, epochs: int = 5, count: int = 2000) -> Shapes:
    """Return a network that has learnt the shapes from data with the mark, or without."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    x, labels = pictures(count, planted, random)
    net = Shapes()
    batch, steps = 50, epochs * (count // 50)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(count, generator=random).split(batch):
            loss = nn.functional.cross_entropy(net((x[chosen] - 0.5) / 0.25), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    return net.eval().requires_grad_(False)


def recognised(net: nn.Module, shape: int, seed: int) -> float:
    """Return the share of a class's pictures without any mark that the network recognises."""
    x, labels = pictures(600, None, torch.Generator().manual_seed(seed))
    own = x[labels == shape]
    return float((net((own - 0.5) / 0.25).argmax(1) == shape).float().mean())


def configured(folder: Path, net: nn.Module | None, builder: str = "shapes") -> Path:
    """Write a configuration with the network as the model ``shapes``, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = ""
    if net is not None:
        save_file(net.state_dict(), folder / "shapes.safetensors")
        weights = 'weights = "shapes.safetensors"\n'
    config = folder / "config.toml"
    config.write_text(
        f'[models.shapes]\nbuilder = "tests.daemon.microscope_networks:{builder}"\n{weights}'
        f'mean = [0.5]\nstd = [0.25]\nclasses = {list(SHAPES)}\ndefault_tap = "c3"\n'.replace("'", '"')
    )
    return config

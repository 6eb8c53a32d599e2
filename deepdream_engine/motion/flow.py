"""Optical flow: how what a clip shows has moved since the frame before, and where that can be believed.

It is OpenCV's DIS (Kroeger and others, 2016), computed there and back. Where both ways do not meet, something has come
into view that was hidden before; where they meet but colours do not, they have met by chance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from deepdream_engine.errors import BadOption

INSTALL = "pip install 'deepdream-daemon[video]'"
_LONGEST_PX = 1280
"""Larger frames are matched at this size: flow is smooth, and what it takes grows with the area."""
_SHORTEST_PX = 32
"""Smaller ones are enlarged: DIS needs room for its patches on every scale."""
_LEAST_CONTRAST = 12 / 255
_SPREAD, _MIDDLE = 48.0, 128.0
"""To which contrast and brightness both frames are brought, so that dark ones are matched too, and flashes."""
_RELATIVE, _ABSOLUTE = 0.01, 0.5
"""How far there and back may end apart: share of the squared motion, and squared pixels (Sundaram and others, 2010)."""
_COLOURS_APART = 0.35
"""How far apart colours may be, as a multiple of the frame's contrast; none are trusted that are twice as far."""
_STILL, _NOISE = 4 / 255, 16 / 255
"""How much a place may change that shows the same: without its noise, and with it."""


@dataclass(frozen=True)
class Match:
    """How a frame follows from the one before. ``flow`` ``(2, H, W)``: how many pixels to the right and down of each
    pixel lies what was seen there before. ``trust`` ``(1, H, W)``: from 0, where nothing of the kind was seen, to 1."""

    flow: Tensor
    trust: Tensor

    @property
    def seen_share(self) -> float:
        """How much of the frame was seen in the one before."""
        return float(self.trust.mean())


def match(before: Tensor, now: Tensor) -> Match:
    """Match two frames ``(3, H, W)`` in [0, 1] of one size. Raises ``BadOption`` if OpenCV is not installed."""
    size = (now.shape[1], now.shape[2])
    scale = min(1.0, _LONGEST_PX / max(size))
    scale = max(scale, _SHORTEST_PX / min(size))
    inner = (max(_SHORTEST_PX, round(size[0] * scale)), max(_SHORTEST_PX, round(size[1] * scale)))
    one, other = _resized(before, inner), _resized(now, inner)
    earlier, later = _evened(one), _evened(other)
    back, there = _dis(later, earlier), _dis(earlier, later)  # (2, h, w)

    again = warped(there, back, mode="bilinear")
    bound = _RELATIVE * (back.square() + again.square()).sum(0) + _ABSOLUTE
    meets = (2 - (back + again).square().sum(0) / bound).clamp(0, 1)  # (h, w)
    apart = _blurred(_blurred(later - warped(earlier, back, mode="bilinear"), 3).abs() / _SPREAD)[0]
    alike = (2 - apart / _COLOURS_APART).clamp(0, 1)
    trust = meets * alike * inside(back)

    # Nothing is to be seen in a flat or black place, and flow is random there. What does not change stays where it is.
    still = (trust < 0.5) & _is_still(other - one)
    back = torch.where(still, 0.0, back)
    trust = torch.where(still, 1.0, trust)
    if inner == size:
        return Match(back, trust[None])
    factors = back.new_tensor([size[1] / inner[1], size[0] / inner[0]]).view(2, 1, 1)
    return Match(_resized(back, size) * factors, _resized(trust[None], size).clamp(0, 1))


def warped(picture: Tensor, flow: Tensor, *, mode: str = "bicubic", beyond: str = "border") -> Tensor:
    """Return what was ``picture`` ``(C, H, W)`` in the frame before as it lies in the frame that has the ``flow``.

    ``beyond`` the picture lies what its border was, or, with ``reflection``, its mirror image.
    """
    _, height, width = picture.shape
    across = torch.arange(width, dtype=flow.dtype) + flow[0]
    down = torch.arange(height, dtype=flow.dtype)[:, None] + flow[1]
    grid = torch.stack([across * (2 / max(1, width - 1)) - 1, down * (2 / max(1, height - 1)) - 1], dim=-1)
    return F.grid_sample(picture[None], grid[None], mode=mode, padding_mode=beyond, align_corners=True)[0]


def check_installed() -> None:
    """Raise ``BadOption`` if clips cannot be matched here."""
    _opencv()


@functools.cache
def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise BadOption(
            f"Coherent clips need OpenCV, which cannot be imported ({error}). Install it: {INSTALL}"
        ) from error
    return cv2


def _dis(start: Tensor, end: Tensor) -> Tensor:
    """Return where each pixel of ``start`` ``(1, h, w)`` is in ``end``: ``(2, h, w)``."""
    cv2 = _opencv()
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    planes = [plane[0].round().clamp(0, 255).to(torch.uint8).numpy() for plane in (start, end)]
    return torch.from_numpy(estimator.calc(planes[0], planes[1], None)).permute(2, 0, 1).contiguous()


def _evened(picture: Tensor) -> Tensor:
    """Return the luma ``(1, h, w)`` with the same contrast and brightness for all frames."""
    luma = (picture * picture.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0, keepdim=True)
    contrast = luma.std(correction=0).clamp(min=_LEAST_CONTRAST)
    return (luma - luma.mean()) / contrast * _SPREAD + _MIDDLE


def _is_still(change: Tensor) -> Tensor:
    """Tell ``(h, w)`` where ``change`` ``(3, h, w)`` is none, or noise."""
    return (_blurred(change).abs() < _STILL).all(0) & (_blurred(change.abs()) < _NOISE).all(0)


def _blurred(planes: Tensor, window: int = 5) -> Tensor:
    """Return ``(C, h, w)`` without its noise."""
    return F.avg_pool2d(planes[None], window, 1, window // 2, count_include_pad=False)[0]


def inside(flow: Tensor) -> Tensor:
    """Tell ``(h, w)`` whether the place that ``flow`` points to is in the picture."""
    _, height, width = flow.shape
    across = torch.arange(width, dtype=flow.dtype) + flow[0]
    down = torch.arange(height, dtype=flow.dtype)[:, None] + flow[1]
    edge = 0.5
    return (across >= -edge) & (across <= width - 1 + edge) & (down >= -edge) & (down <= height - 1 + edge)


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    if planes.shape[1:] == size:
        return planes
    return F.interpolate(planes[None], size, mode="bilinear", antialias=True)[0]

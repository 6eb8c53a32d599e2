"""What an objective gets, made of pictures by the tiny network: for tests that call a score themselves."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from deepdream_engine.activations import Activations
from deepdream_plugins.testing.tiny import TINY, tiny_network

_network = cache(tiny_network)
_TAPS = {"edges": "edges", "shapes": "shapes", "classes": "logits"}


def tiny_activations(pictures: Tensor, source: Tensor | None = None) -> Activations:
    """Return what the tiny network sees in ``pictures`` ``(N, 3, H, W)`` in [0, 1], whole ones without a margin.

    The taps are ``edges`` ``(N, 8, H, W)``, ``shapes`` ``(N, 12, H // 2, W // 2)`` and ``logits`` ``(N, 5)``;
    ``source`` are the pictures before the dream, by default these. A gradient flows back to ``pixels``, and so to
    ``pictures`` if they require one.

    >>> seen = tiny_activations(a_picture()[None])
    >>> assert my_score(seen, layer="shapes").shape == (1,)
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (TINY.mean, TINY.std))
    by_tap: dict[str, Tensor] = {}
    seen = (pictures - mean) / std
    network: nn.Module = _network()
    for name, module in network.named_children():
        seen = module(seen)
        if name in _TAPS:
            by_tap[_TAPS[name]] = seen
    count, _, height, width = pictures.shape
    frame = torch.tensor([[0.0, height, 0.0], [0.0, width, 0.0]]).expand(count, -1, -1)
    before = pictures.detach() if source is None else source
    return Activations(by_tap=by_tap, pixels=pictures, frame=frame, source=before)

"""A guide picture: the dream takes after what the layer sees in it, by its best matches or by its statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.objectives.common import LAYER, Shapes, channel_means, check_places, share
from deepdream_plugins.records import ObjectiveSpec, Option, PictureFile

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations, Look

GUIDE_CELLS = 1024
"""Every guide is brought to this number of cells, so that guides of all sizes share passes."""
_PRODUCTS_AT_ONCE = 1 << 24  # 64 MiB of float32, however large the windows are

_OPTIONS = (
    LAYER,
    Option(
        name="guide",
        type=PictureFile,
        default="",
        help="the guide's file; if absent, photo.guide.jpg beside photo.jpg",
    ),
)


def guide(activations: Activations, *, layer: str, cells: Tensor) -> Tensor:
    """The sum over places of the largest dot product with any of the guide's ``cells`` ``(N, M, C)``, so that its
    gradient at each place is the cell that matches best (``objective_guide`` of Google's notebook)."""
    import torch

    seen = activations[layer].flatten(2).transpose(1, 2)  # (N, C, h, w) -> (N, P, C)
    count, places, _ = seen.shape
    with torch.no_grad():
        step = max(1, _PRODUCTS_AT_ONCE // (count * cells.shape[1]))
        best = torch.cat(
            [
                torch.bmm(seen[:, first : first + step], cells.transpose(1, 2)).argmax(dim=2)  # (N, <= step, M)
                for first in range(0, places, step)
            ],
            dim=1,
        )
        matches = cells[torch.arange(count, device=cells.device)[:, None], best]  # (N, P, C)
    return (seen * matches).sum(dim=(1, 2))


def prepare_guide(look: Look, *, layer: str) -> Mapping[str, Tensor]:
    """Return ``GUIDE_CELLS`` of the guide's cells, ``cells`` ``(M, C)``: all of them, some more than once, which
    changes no maximum; or, of a guide with more, an even sample."""
    import torch

    seen = _guide(look, layer)[0]  # (C, h, w)
    shrink = min(1.0, (GUIDE_CELLS / (seen.shape[1] * seen.shape[2])) ** 0.5)
    for dim in (1, 2):
        count = seen.shape[dim]
        kept = max(1, int(count * shrink))
        middle = (torch.arange(kept, device=seen.device) * 2 + 1) * count // (2 * kept)
        seen = seen.index_select(dim, middle)
    cells = seen.flatten(1).T  # (C, h, w) -> (h * w, C)
    again = torch.arange(GUIDE_CELLS, device=seen.device) % len(cells)
    return {"cells": cells[again]}


def guide_mean(activations: Activations, *, layer: str, means: Tensor) -> Tensor:
    """Minus the squared distance of the channels' means from those of the guide, ``means`` ``(N, C)``, as a share of
    the latter's square: 0 when they are equal, -1 when nothing is active."""
    return -_distance(channel_means(activations[layer]), means) * share(activations)


def prepare_means(look: Look, *, layer: str) -> Mapping[str, Tensor]:
    """Return the guide's mean of each channel, ``means`` ``(C,)``."""
    return {"means": channel_means(_guide(look, layer))[0]}


def guide_gram(activations: Activations, *, layer: str, gram: Tensor) -> Tensor:
    """Minus the squared distance of the Gram matrix (which features go together, wherever they are; Gatys, Ecker and
    Bethge, 2015) from the guide's, ``gram`` ``(N, C, C)``, as a share of the latter's square: 0 when they are equal, -1
    when nothing is active."""
    return -_distance(_gram(activations[layer]), gram) * share(activations)


def prepare_gram(look: Look, *, layer: str) -> Mapping[str, Tensor]:
    """Return the guide's Gram matrix, ``gram`` ``(C, C)``."""
    return {"gram": _gram(_guide(look, layer))[0]}


def _gram(seen: Tensor) -> Tensor:
    """Return the mean over places of the products of each two channels: ``(N, C, h, w) -> (N, C, C)``."""
    import torch

    flat = seen.flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2]


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared distance from ``wanted`` relative to its square, ``(N, ...) -> (N,)``."""
    return (found - wanted).square().flatten(1).sum(dim=1) / wanted.square().flatten(1).sum(dim=1)


def _guide(look: Look, layer: str) -> Tensor:
    seen = look.guides["guide"][layer]
    if not seen.any():
        raise BadOption(f"guide: the layer {layer!r} sees nothing in it; choose another guide or another layer.")
    return seen


def check_guide(shapes: Shapes, *, layer: str) -> None:
    """Refuse a layer without places."""
    check_places(shapes, layer)


OBJECTIVES = (
    ObjectiveSpec(
        name="guide",
        help="What the guide shows, wherever it fits best: best-matching features, as in Google's notebook",
        score=guide,
        is_sum=True,
        check=check_guide,
        prepare=prepare_guide,
        options=_OPTIONS,
    ),
    ObjectiveSpec(
        name="guide_mean",
        help="As much of each feature as the guide has, on the whole",
        score=guide_mean,
        prepare=prepare_means,
        options=_OPTIONS,
    ),
    ObjectiveSpec(
        name="guide_gram",
        help="The guide's textures: features that go together there go together here (Gatys's style)",
        score=guide_gram,
        check=check_guide,
        prepare=prepare_gram,
        options=_OPTIONS,
    ),
)

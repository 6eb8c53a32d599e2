"""Pictures that a filter's options name, as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.builtin.filters.luma import luma_of
from deepdream_plugins.resolving import named_files

if TYPE_CHECKING:
    from torch import Tensor

_LEVEL = 1 / 255


def picture(path: str, option: str) -> Tensor:
    """Return the picture as ``(1, 3, h, w)``; raises ``BadOption`` if it is none or cannot be read."""
    import torch

    found = named_files.picture(path, option)
    return torch.from_numpy(found.pixels).permute(2, 0, 1)[None]


def mask(path: str, option: str, height: int, width: int) -> Tensor:
    """Return the grey of a picture, times its alpha, stretched to ``(1, 1, height, width)``.

    Of a picture of one colour that is transparent in places only its alpha is looked at, whatever the colour, as with
    the recipe's own mask.
    """
    import torch
    from torch.nn.functional import interpolate

    rgb = picture(path, option)
    grey = luma_of(rgb)  # (1, 1, h, w)
    alpha = named_files.picture(path, option).alpha
    if alpha is not None:
        opaque = torch.from_numpy(alpha)[None, None]
        is_drawn_in_alpha = _is_flat(rgb) and not _is_flat(opaque)
        grey = opaque if is_drawn_in_alpha else grey * opaque
    return interpolate(grey, (height, width), mode="bilinear", antialias=True).clamp_(0, 1)


def _is_flat(pictures: Tensor) -> bool:
    return bool((pictures.amax(dim=(2, 3)) - pictures.amin(dim=(2, 3)) < _LEVEL / 2).all())

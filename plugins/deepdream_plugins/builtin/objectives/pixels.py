"""Scores of the pixels themselves, to rein in others: ``eyes - 0.2 * tv``, ``eyes + 0.1 * pull_l2``.

They are sums, scaled so that the mean absolute gradient at a pixel is about 1 by nature: the factor in front of them
says how strong they are beside an objective whose gradient was balanced to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_plugins.records import ObjectiveSpec

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.activations import Activations

_LEVEL = 1 / 255


def tv(activations: Activations) -> Tensor:
    """The total variation (Rudin, Osher and Fatemi, 1992): the sum of the lengths of the picture's own gradient.

    Lengths below one 8-bit level are rounded off, so that flat areas are left in peace. The mean absolute gradient is
    0.6 to 1 on photographs and at most 1.8, on white noise. Opposite borders of the picture are not neighbours.
    """
    pixels = activations.pixels
    here = pixels[:, :, :-1, :-1]
    down = (pixels[:, :, 1:, :-1] - here) * _connected(activations, 0)[:, None, :, None]
    right = (pixels[:, :, :-1, 1:] - here) * _connected(activations, 1)[:, None, None, :]
    length = (down.square() + right.square() + _LEVEL**2).sqrt() - _LEVEL
    return length.sum(dim=(1, 2, 3))


def _connected(activations: Activations, axis: int) -> Tensor:
    """Return 1 for each pixel along ``axis``, but the window's last, whose next one is its neighbour in the picture,
    and 0 where the cyclic canvas goes on at the opposite border: ``(N, length - 1)``."""
    import torch

    pixels = activations.pixels
    begin, length, _ = activations.frame[:, axis, :, None].unbind(1)  # (N, 1) each
    following = begin + torch.arange(1, pixels.shape[2 + axis], device=pixels.device)
    return (following.remainder(length) != 0).to(pixels.dtype)


def pull_l1(activations: Activations) -> Tensor:
    """Minus the sum of absolute differences from the source: the same pull at any distance, 1."""
    return -_strayed(activations).abs().sum(dim=(1, 2, 3))


def pull_l2(activations: Activations) -> Tensor:
    """Minus the scaled sum of squared differences from the source: the pull grows with the distance, and is 1, that
    of ``pull_l1``, at 10 levels of 255."""
    return -_strayed(activations).square().sum(dim=(1, 2, 3)) / (20 * _LEVEL)


def _strayed(activations: Activations) -> Tensor:
    assert activations.source is not None  # promised by needs_source
    return activations.pixels - activations.source


OBJECTIVES = (
    ObjectiveSpec(
        name="tv",
        help="Roughness, the total variation of the pixels; subtract it for smoother dreams",
        score=tv,
        is_sum=True,
    ),
    ObjectiveSpec(
        name="pull_l1",
        help="Back to the source with the same force everywhere: what is too weak to resist stays as it was; added to "
        "another term, as in l2 + 0.5 * pull_l1",
        only_added=True,
        score=pull_l1,
        is_sum=True,
        needs_source=True,
    ),
    ObjectiveSpec(
        name="pull_l2",
        help="Back to the source like a spring: the farther a pixel has strayed, the stronger; added to another term, "
        "as in l2 + 0.5 * pull_l2",
        only_added=True,
        score=pull_l2,
        is_sum=True,
        needs_source=True,
    ),
)

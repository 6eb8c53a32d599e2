"""What the tests of published recipes share: a whole, unfolded network, bilinear resampling, the recipe's own dream.

The references beside them are the published algorithms written straight down with NumPy, SciPy and torch's autograd;
they share no code with the engine. They are given what the recipes' comments own up to: bilinear resampling with
aligned corners, each octave from the next larger one, and pixels clipped after every step; and the random numbers that
the engine draws, in its order. Pictures have sizes at which truncating and rounding to whole pixels agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as nd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepdream_engine import Engine, Network
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue

from .conftest import DREAMNET

Picture = NDArray[np.float64]
"""``(3, H, W)`` in 8-bit levels."""
Seen = dict[str, Tensor]

SEED = 3
MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)
BOOK = RecipeBook(load_catalogue())


def plain(network: Network) -> nn.Module:
    """The whole network in float64, with ReLUs that leave the activations before them alone."""
    net = network.load().eval().requires_grad_(False).double()
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


class Eye:
    """What the embedded network sees at some of its layers, by hooks."""

    def __init__(self, *layers: str) -> None:
        self._net = plain(DREAMNET)
        self._seen: Seen = {}
        for layer in layers:
            self._net.get_submodule(layer).register_forward_hook(self._keeper(layer))

    def _keeper(self, layer: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self._seen[layer] = output

        return keep

    def see(self, pixels: Tensor) -> Seen:
        """Return the activations for ``pixels`` ``(1, 3, H, W)`` in [0, 1]."""
        self._net((pixels - MEAN) / STD)
        return self._seen

    def climb(self, picture: Picture, score: Callable[[Seen], Tensor]) -> tuple[Picture, float]:
        """Return the gradient ``(3, H, W)`` of the score with respect to ``picture`` in [0, 1], and the score."""
        x = torch.from_numpy(picture[None] / 255).requires_grad_()
        value = score(self.see(x))
        value.backward()
        assert x.grad is not None
        return x.grad[0].numpy(), float(value.detach())


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Bilinear, with the corner pixels of both grids aligned."""
    h, w = picture.shape[1:]
    # SciPy's own rounding may put the last row outside the picture, which the nearest pixel stands in for.
    zoomed: Picture = nd.zoom(picture, (1, size[0] / h, size[1] / w), order=1, mode="nearest")
    return zoomed


def shrunk(picture: Picture, sizes: list[tuple[int, int]]) -> list[Picture]:
    """The picture at ``sizes``, the largest of which comes last, each made from the next larger one."""
    pictures = [resized(picture, sizes[-1])]
    for size in sizes[-2::-1]:
        pictures.insert(0, resized(pictures[0], size))
    return pictures


def drawn_shifts(random: torch.Generator, jitter: int, steps: int) -> list[tuple[int, int]]:
    """The cyclic shifts of one octave."""
    return [(y, x) for y, x in torch.randint(-jitter, jitter + 1, (steps, 2), generator=random).tolist()]


def rolled(picture: Picture, shift: tuple[int, int]) -> Picture:
    return np.roll(picture, shift, axis=(1, 2))


def unrolled(picture: Picture, shift: tuple[int, int]) -> Picture:
    return np.roll(picture, (-shift[0], -shift[1]), axis=(1, 2))


def clipped(picture: Picture) -> Picture:
    return np.clip(picture, 0, 255)


@dataclass(frozen=True)
class Told:
    """A recipe with some keys changed, the picture after its pre-filters, and what it dreams of that."""

    recipe: ResolvedRecipe
    source: Picture
    dream: Picture

    def assert_is(self, expected: Picture, *, moved: float) -> None:
        """Fail if the dream is more than two levels from ``expected`` anywhere, or hardly a dream: less than ``moved``
        levels from its source on average."""
        assert np.abs(self.dream - self.source).mean() > moved, "the dream is the picture"
        assert np.abs(self.dream - expected).max() <= 2


def tell(engine: Engine, name: str, picture: Tensor, changes: Mapping[str, object]) -> Told:
    """Dream ``picture`` ``(3, H, W)`` by a recipe, on the embedded network and in float64: after some steps the
    rounding of float32 alone has grown to tens of levels, in any two implementations."""
    recipe = BOOK.resolve(name, [({"model": "dreamnet", "precision": "fp64", **changes}, lambda *keys: "test")])
    source = recipe.prefilter(picture, SEED)
    (dream,) = engine.dream([recipe.job(source, SEED)])
    return Told(recipe, source.double().numpy() * 255, dream.pixels.double().numpy() * 255)

"""The built-in filters under test: pictures drawn from seeds, and one filter run on them as a recipe would."""

from __future__ import annotations

import torch
from torch import Tensor

from deepdream_plugins import FilterContext, load_catalogue
from deepdream_plugins.options import fill

CATALOGUE = load_catalogue()
NEEDED: dict[str, dict[str, object]] = {"watermark": {"text": "dream"}}
"""Options without a default."""
MOVING = tuple(name for name, owned in CATALOGUE.postfilters.items() if owned.spec.moves)
STAYING = tuple(name for name in CATALOGUE.postfilters if name not in MOVING)
VARIANTS: tuple[tuple[str, dict[str, object]], ...] = (
    *((name, {}) for name in CATALOGUE.postfilters),
    ("blend", {"by": "source"}),
    ("blend", {"by": "dream", "invert": True}),
    ("keep_colours", {"space": "lab"}),
    ("match_histogram", {"of": "light"}),
    ("local_contrast", {"limit": 20, "tiles": 64, "amount": 1}),
    ("tone", {"brightness": 1.3, "contrast": 1.4, "gamma": 1.5, "saturation": 1.7, "warmth": -0.8}),
    ("film_grain", {"size": 6, "strength": 64, "colour": True}),
    ("crop", {"aspect": "16:9", "anchor": "bottom-left"}),
    ("crop", {"width": 20, "height": 5}),
    ("resize", {"longest_side": 10}),
    ("resize", {"scale": 2.5}),
    ("side_by_side", {"direction": "across", "first": "dream", "gap": 0}),
    ("watermark", {"size": 1, "ink": "black"}),
)
"""Every post-filter as it is by default, and with what takes another way through it."""


def pictures(height: int, width: int, seed: int = 1, count: int = 1) -> Tensor:
    """Noise ``(count, 3, height, width)``."""
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def run(name: str, given: Tensor, source: Tensor | None = None, *, seed: int = 1, **options: object) -> Tensor:
    """Return what the filter makes of ``given``; a pre-filter if ``options`` say ``before=True``."""
    before = options.pop("before", name not in CATALOGUE.postfilters)
    spec = (CATALOGUE.prefilters if before else CATALOGUE.postfilters)[name].spec
    filled = fill(spec.options, {**NEEDED.get(name, {}), **options}, lambda *keys: "test", of=name)
    context = FilterContext(source=given if source is None else source, seed=seed)
    return spec.apply(given, context, **filled)


def luma(given: Tensor) -> Tensor:
    """Return the luma of JPEG's YCbCr, ``(N, H, W)``."""
    return (given * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)

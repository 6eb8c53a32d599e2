"""Checks of filters: on pictures of all shapes the result is a picture, the same for the same seed, and the input is
left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepdream_engine.errors import BadPicture
from deepdream_plugins.records import FilterContext, FilterSpec
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.options import filled
from deepdream_plugins.testing.tiny import a_picture

_SIZES = ((40, 56), (57, 31), (1, 1), (1, 37), (29, 2), (3, 3))
"""Wide, tall, odd, and as small as pictures get."""
_SEED = 12
_TOLERANCE = 1e-5


def check_filter(spec: FilterSpec, /, **options: object) -> None:
    """Check a post-filter: on pictures of any size it returns finite float32 of the same size (of any size if the
    record says ``moves``), about within [0, 1]; the same seed gives the same picture; neither its input nor the source
    is written into; and pictures side by side do not change each other.

    Raises ``AssertionError`` with what to mend; a wrong option is a ``BadOption``.
    """
    _check(_Filter(spec, "post-filter", filled(spec, "post-filter", options)), may_resize=spec.moves)


def check_prefilter(spec: FilterSpec, /, **options: object) -> None:
    """Check a pre-filter, which may change the size, likewise."""
    _check(_Filter(spec, "pre-filter", filled(spec, "pre-filter", options)), may_resize=True)


@dataclass(frozen=True)
class _Filter:
    spec: FilterSpec
    word: str
    options: Mapping[str, Any]

    @property
    def of(self) -> str:
        return f"the {self.word} {self.spec.name!r}"

    def on(self, pictures: Tensor, source: Tensor | None = None, seed: int = _SEED) -> Tensor:
        """Return what it makes of ``(N, 3, H, W)``, which it must not write into."""
        pictures, source = pictures.clone(), pictures.clone() if source is None else source.clone()
        given, seen = pictures.clone(), source.clone()
        size = f"on a picture of {pictures.shape[3]} × {pictures.shape[2]}"
        with calling(f"{self.of} {size}"), torch.no_grad():
            result: object = self.spec.apply(given, FilterContext(source=seen, seed=seed), **self.options)
        self._check_result(result, pictures, size)
        assert isinstance(result, Tensor)  # which has just been checked, for the type checker
        for what, before, after in (("its input", pictures, given), ("context.source", source, seen)):
            if not torch.equal(before, after):
                raise Broken(
                    f"{self.of} wrote into {what}; others use it after the filter. Work on a copy (.clone()), and "
                    f"leave out operations whose names end in an underscore."
                )
        return result

    def _check_result(self, result: object, pictures: Tensor, size: str) -> None:
        if not isinstance(result, Tensor):
            raise Broken(f"{self.of} returned {type(result).__name__}, not a tensor (N, 3, H, W).")
        shape = tuple(result.shape)
        if not (result.ndim == 4 and shape[:2] == (len(pictures), 3) and 0 not in shape):
            raise Broken(
                f"{self.of} returned the shape {shape} {size}; it must be ({len(pictures)}, 3, height, width)."
            )
        if result.dtype != torch.float32:
            mend = "end with .float()" if result.is_floating_point() else "divide bytes by 255, as in .float() / 255"
            raise Broken(f"{self.of} returned {result.dtype}; it must be torch.float32 in [0, 1]: {mend}.")
        if not result.isfinite().all():
            raise Broken(
                f"{self.of} returned values that are not finite {size}. Keep divisors and roots away from zero, as in "
                f".clamp(min=1e-6): areas of one colour are common."
            )
        mean = float(result.mean())
        if not (-0.5 <= mean <= 1.5):
            raise Broken(
                f"{self.of} returned values around {mean:.3g} {size}; pictures are in [0, 1], not in levels of 255, "
                f"and what is beyond is cut off."
            )


def _check(filter: _Filter, *, may_resize: bool) -> None:
    for height, width in _SIZES:
        try:
            _check_size(filter, height, width, may_resize=may_resize)
        except BadPicture:
            if (height, width) == _SIZES[0]:
                raise
            # A picture may be too small for it, if it says so.
    for plain in (0.0, 1.0):
        even = torch.full((1, 3, 24, 24), plain)
        filter.on(even, source=even)
    _check_seed(filter)
    _check_neighbours(filter)


def _check_size(filter: _Filter, height: int, width: int, *, may_resize: bool) -> None:
    picture, source = a_picture(height, width)[None], a_picture(height, width, seed=1)[None]
    made = filter.on(picture, None if filter.word == "pre-filter" else source)
    if not (may_resize or made.shape == picture.shape):
        raise Broken(
            f"{filter.of} changed the size from {width} × {height} to {made.shape[3]} × {made.shape[2]}; a post-filter "
            f"keeps it. Only one that does nothing but move pixels may change it, and says moves=True."
        )
    if filter.spec.moves:
        grey = filter.on(torch.full((1, 1, height, width), 0.5).expand(1, 3, -1, -1))
        if grey.shape != made.shape:
            raise Broken(
                f"{filter.of} gives {made.shape[3]} × {made.shape[2]} of the picture but {grey.shape[3]} × "
                f"{grey.shape[2]} of its transparency; with moves=True the size may depend on the size and the "
                f"options alone."
            )


def _check_neighbours(filter: _Filter) -> None:
    size = _SIZES[0]
    pictures = torch.stack([a_picture(*size, seed=seed).mul_(0.4 + 0.3 * seed) for seed in range(3)])
    sources = pictures if filter.word == "pre-filter" else pictures.flip(3)
    together = filter.on(pictures, sources)
    for number in range(3):
        alone = filter.on(pictures[number : number + 1], sources[number : number + 1])[0]
        if alone.shape != together[number].shape:
            raise Broken(f"{filter.of} gives other sizes alone than side by side.")
        if not torch.allclose(alone, together[number], atol=_TOLERANCE):
            raise Broken(
                f"{filter.of} makes something else of a picture alone than among others; reduce over dimensions 1, 2 "
                f"and 3, never over 0."
            )


def _check_seed(filter: _Filter) -> None:
    picture = a_picture(*_SIZES[0])[None]
    made = []
    with torch.random.fork_rng(devices=[]):
        for elsewhere in (1, 2):
            torch.manual_seed(elsewhere)
            before = torch.get_rng_state()
            made.append(filter.on(picture))
            if not torch.equal(before, torch.get_rng_state()):
                raise Broken(f"{filter.of} draws from torch's global generator. {_OWN}")
    if not torch.equal(*made):
        raise Broken(f"{filter.of} makes two different pictures with the same seed. {_OWN}")


_OWN = (
    "Draw random numbers from torch.Generator().manual_seed(context.seed) alone, so that the same job makes the same "
    "picture."
)

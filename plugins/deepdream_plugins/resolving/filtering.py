"""Filters run on one picture, and whatever they do wrong named instead of spoiling the picture silently."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepdream_plugins.records import FilterContext, FilterSpec
from deepdream_plugins.resolving.companions import is_same_shape
from deepdream_plugins.resolving.configured import Configured

if TYPE_CHECKING:
    from torch import Tensor

SECONDS = 120.0
"""How long a stranger's filter may take for one picture, unless the configuration says something else."""
_ALPHA = "alpha"  # no mask's key


@dataclass(frozen=True, kw_only=True)
class Start:
    """A picture ``(3, H, W)`` before its dream and what belongs to it, all in [0, 1]: the ``alpha`` ``(H, W)`` that the
    output will have, and ``masks`` ``(1, H, W)`` by name. ``seed`` is the job's."""

    pixels: Tensor
    seed: int
    alpha: Tensor | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)


def before_dream(filters: Sequence[Configured[FilterSpec]], start: Start, limit_seconds: float = SECONDS) -> Start:
    """Return a picture after the pre-filters, with its transparency and its masks; the size may have changed. Raises
    :class:`~deepdream_plugins.hosting.guarding.PluginFailure`.

    What moves pixels moves those of transparency and masks as well.
    """
    pixels, seed = start.pixels, start.seed
    planes = {key: mask[0] for key, mask in start.masks.items()}  # of (H, W) each
    if start.alpha is not None:
        planes[_ALPHA] = start.alpha
    del start
    for configured in filters:
        before = pixels.shape
        named = _Filter(configured, "pre-filter", seed, limit_seconds)
        pixels = named.apply(pixels, pixels)
        for key, plane in planes.items():
            if configured.spec.moves:
                planes[key] = named.moved(plane, pixels, "transparency" if key == _ALPHA else "mask")
            elif pixels.shape != before:
                if not is_same_shape(before[1:], pixels.shape[1:]):
                    raise named.guard.failure(
                        f"changed the size from {_size(before)} to {_size(pixels.shape)}, and the picture's "
                        f"{'transparency' if key == _ALPHA else 'mask'} does not go with it; if all that the filter "
                        f"does is to move pixels, its record must say moves=True."
                    )
                planes[key] = _resized(plane[None], pixels)[0]
    planes = {key: _compact(plane) for key, plane in planes.items()}
    alpha = planes.pop(_ALPHA, None)
    masks = {key: plane[None] for key, plane in planes.items()}
    return Start(pixels=_compact(pixels), seed=seed, alpha=alpha, masks=masks)


@dataclass(frozen=True, kw_only=True)
class Finish:
    """A dream ``(3, H, W)`` and what its post-filters may need: the ``source`` before the dream, of any size, the
    job's ``seed``, and the ``alpha`` ``(H, W)`` that the output will have, all in [0, 1]."""

    dream: Tensor
    source: Tensor
    seed: int
    alpha: Tensor | None = None


def after_dream(filters: Sequence[Configured[FilterSpec]], finish: Finish, limit_seconds: float = SECONDS) -> Finish:
    """Return a dream after the post-filters; its source is resized to it if it has another size. Raises
    :class:`~deepdream_plugins.hosting.guarding.PluginFailure`.

    What moves pixels moves those of the source and of the transparency as well.
    """
    if not filters:
        return finish
    dream, alpha, seed = finish.dream, finish.alpha, finish.seed
    source = _resized(finish.source, dream)
    if alpha is not None:
        alpha = _resized(alpha[None], dream)[0]
    for configured in filters:
        before = dream.shape
        named = _Filter(configured, "post-filter", seed, limit_seconds)
        dream = named.apply(dream, source)
        if configured.spec.moves:
            if alpha is not None:
                alpha = named.moved(alpha, dream, "transparency")
            source = named.apply(source, source)
        elif dream.shape != before:
            raise named.guard.failure(
                f"changed the size from {_size(before)} to {_size(dream.shape)}; "
                f"only a pre-filter may, or one whose record says moves=True."
            )
    return Finish(dream=dream, source=source, seed=seed, alpha=alpha)


def _resized(picture: Tensor, like: Tensor) -> Tensor:
    if picture.shape[1:] == like.shape[1:]:
        return picture
    from torch.nn.functional import interpolate

    return interpolate(picture[None], like.shape[1:], mode="bicubic", antialias=True)[0].clamp(0, 1)


def _compact(picture: Tensor) -> Tensor:
    """Return ``picture`` without the rest of a larger one that it may be a view of."""
    return picture.clone() if picture.untyped_storage().nbytes() > picture.nbytes else picture.contiguous()


class _Filter:
    """One filter of a recipe, and what its plugin is blamed for."""

    def __init__(self, configured: Configured[FilterSpec], word: str, seed: int, limit_seconds: float) -> None:
        self.guard = configured.guard(word)
        self._configured = configured
        self._seed = seed
        self._limit_seconds = limit_seconds

    def apply(self, pixels: Tensor, source: Tensor) -> Tensor:
        """Return what the filter makes of one picture ``(3, H, W)``; refuse what would spoil it silently."""
        import torch

        spec, context = self._configured.spec, FilterContext(source=source[None], seed=self._seed)

        number_of_threads = torch.get_num_threads()

        def run() -> object:
            # It may be in a thread of its own, which knows neither of the other's threads nor of its no_grad.
            if torch.get_num_threads() != number_of_threads:
                torch.set_num_threads(number_of_threads)
            with torch.no_grad():
                return spec.apply(pixels[None], context, **self._configured.options)

        result = self.guard.call(run, limit_seconds=self._limit_seconds, near=spec.apply)
        if not isinstance(result, torch.Tensor):
            raise self.guard.failure(f"returned {type(result).__name__}, not a tensor.")
        if result.ndim != 4 or result.shape[:2] != (1, 3) or 0 in result.shape:
            raise self.guard.failure(f"returned the shape {tuple(result.shape)}, not (1, 3, height, width).")
        low, high = (math.nan, math.nan) if result.is_complex() else map(float, result.aminmax())  # NaN if any is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise self.guard.failure(
                "returned values that are not finite numbers; look for a division by zero, or a root or logarithm of "
                "what is not positive."
            )
        picture = result[0].to(torch.float32)  # (3, H, W)
        return picture if low >= 0 and high <= 1 else picture.clamp(0, 1)  # a copy of a large picture is large

    def moved(self, plane: Tensor, picture: Tensor, what: str) -> Tensor:
        """Return what the filter makes of a ``plane`` ``(H, W)`` that goes with what it has made a ``picture`` of."""
        grey = plane.expand(3, -1, -1)
        result = self.apply(grey, grey)[0]
        if result.shape != picture.shape[1:]:
            raise self.guard.failure(
                f"made {_size(picture.shape)} pixels of the picture but {_size(result.shape)} of its {what}; with "
                f"moves=True the size may depend on the size and the options alone."
            )
        return result


def _size(shape: Sequence[int]) -> str:
    return f"{shape[-1]} × {shape[-2]}"

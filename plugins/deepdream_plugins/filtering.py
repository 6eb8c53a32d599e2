"""Filters run on one picture, and whatever they do wrong named instead of spoiling the picture silently."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_engine.errors import DeepDreamError, EngineFault
from deepdream_plugins.configured import Configured
from deepdream_plugins.records import FilterContext, FilterSpec

if TYPE_CHECKING:
    from torch import Tensor

Filters = Iterable[Configured[FilterSpec]]


def before_dream(filters: Filters, pixels: Tensor, seed: int) -> Tensor:
    """Return ``pixels`` ``(3, H, W)`` after the pre-filters, in [0, 1]; the size may have changed."""
    for configured in filters:
        pixels = _apply(configured, "pre-filter", pixels, pixels, seed)
    return pixels


@dataclass(frozen=True, kw_only=True)
class Finish:
    """A dream ``(3, H, W)`` and what its post-filters may need: the ``source`` before the dream, of any size, the
    job's ``seed``, and the ``alpha`` ``(H, W)`` that the output will have, all in [0, 1]."""

    dream: Tensor
    source: Tensor
    seed: int
    alpha: Tensor | None = None


def after_dream(filters: Sequence[Configured[FilterSpec]], finish: Finish) -> Finish:
    """Return a dream after the post-filters; its source is resized to it if it has another size.

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
        dream = _apply(configured, "post-filter", dream, source, seed)
        if configured.spec.moves:
            if alpha is not None:
                grey = alpha.expand(3, -1, -1)
                alpha = _apply(configured, "post-filter", grey, grey, seed)[0]
            source = _apply(configured, "post-filter", source, source, seed)
        elif dream.shape != before:
            raise EngineFault(
                f"{_names(configured, 'post-filter')} changed the size from {_size(before)} to {_size(dream.shape)}; "
                f"only a pre-filter may, or one whose record says moves=True."
            )
    return Finish(dream=dream, source=source, seed=seed, alpha=alpha)


def _resized(picture: Tensor, like: Tensor) -> Tensor:
    if picture.shape[1:] == like.shape[1:]:
        return picture
    from torch.nn.functional import interpolate

    return interpolate(picture[None], like.shape[1:], mode="bicubic", antialias=True)[0].clamp(0, 1)


def _apply(configured: Configured[FilterSpec], word: str, pixels: Tensor, source: Tensor, seed: int) -> Tensor:
    """Run one filter on one picture ``(3, H, W)`` and refuse what would spoil the picture silently."""
    import torch

    names = _names(configured, word)
    context = FilterContext(source=source[None], seed=seed)
    try:
        with torch.no_grad():
            result: object = configured.spec.apply(pixels[None], context, **configured.options)
    except DeepDreamError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise EngineFault(
            f"{names} failed at {frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, torch.Tensor):
        raise EngineFault(f"{names} returned {type(result).__name__}, not a tensor.")
    if result.ndim != 4 or result.shape[:2] != (1, 3) or 0 in result.shape:
        raise EngineFault(f"{names} returned the shape {tuple(result.shape)}, not (1, 3, height, width).")
    low, high = (math.nan, math.nan) if result.is_complex() else map(float, result.aminmax())  # NaN if any is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise EngineFault(f"{names} returned values that are not finite numbers.")
    picture = result[0].to(torch.float32)  # (3, H, W)
    return picture if low >= 0 and high <= 1 else picture.clamp(0, 1)  # a copy of a large picture is large


def _names(configured: Configured[FilterSpec], word: str) -> str:
    return f"the {word} {configured.spec.name!r} of the plugin {configured.owner!r}"


def _size(shape: Sequence[int]) -> str:
    return f"{shape[-1]} × {shape[-2]}"

"""The built-in filters: before the dream, what bounds the work or gives it something to see; after it, what finishes
the picture.

A module each: size, noise and grain, mixing with the source, colours, light, detail, text.
"""

from __future__ import annotations

from collections.abc import Iterator

from deepdream_plugins.builtin.filters import colours, detail, grain, light, local_contrast, mixing, size, watermark
from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import FilterSpec


@hookimpl
def deepdream_prefilters() -> Iterator[FilterSpec]:
    """Yield those before the dream."""
    yield from (size.CROP, size.RESIZE_BEFORE, grain.NOISE, light.TONE, local_contrast.LOCAL_CONTRAST)


@hookimpl
def deepdream_postfilters() -> Iterator[FilterSpec]:
    """Yield those after it, in about the order in which one would use them."""
    yield mixing.BLEND
    yield from (colours.KEEP_COLOURS, colours.MATCH_HISTOGRAM)
    yield from (local_contrast.LOCAL_CONTRAST, light.TONE, detail.SHARPEN, light.VIGNETTE, grain.FILM_GRAIN)
    yield from (size.CROP, size.RESIZE_AFTER, size.SIDE_BY_SIDE)
    yield watermark.WATERMARK

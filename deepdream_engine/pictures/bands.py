"""A picture's rows, some at a time: the memory that a pass over it needs beside its result does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator

BAND_PX = 1 << 18
"""Pixels of a band: 3 MiB of float32 RGB, which caches hold."""


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield the rows ``0`` to ``height``, cut into bands of about ``BAND_PX`` pixels and at least one row."""
    rows = max(1, BAND_PX // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))

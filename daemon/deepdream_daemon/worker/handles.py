"""What the daemon holds of a picture that is in the worker: a number, and what it has to know about it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Hashable


class Handle:
    """A picture in the worker of ``generation``. When nobody holds it any more, the worker lets it go.

    ``postfilters`` are so many strangers' ones of its recipe.
    """

    def __init__(self, number: int, generation: int, dropped: deque[tuple[int, int]], postfilters: int) -> None:
        self.number = number
        self.generation = generation
        self.postfilters = postfilters
        weakref.finalize(self, dropped.append, (generation, number)).atexit = False


class PreparedHandle(Handle):
    """A prepared picture. Implements ``rendering.Prepared``."""

    def __init__(
        self,
        number: int,
        generation: int,
        dropped: deque[tuple[int, int]],
        postfilters: int,
        *,
        key: int,
        megapixels: float,
    ) -> None:
        super().__init__(number, generation, dropped, postfilters)
        self._key = key
        self._megapixels = megapixels

    @property
    def megapixels(self) -> float:
        """How large it is as it will be dreamt."""
        return self._megapixels

    @property
    def batch_key(self) -> Hashable:
        """Each worker counts programs for itself."""
        return self.generation, self._key


class RenderedHandle(Handle):
    """A dream that still has to be post-filtered and encoded."""

"""A picture in the renderer's hands: before its dream, and after it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_engine.pictures import Picture
from deepdream_engine.records import Dream, DreamJob
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PreparedPicture:
    """A decoded and pre-filtered picture with its job; ``picture`` holds what goes back into the output file."""

    picture: Picture
    recipe: ResolvedRecipe
    job: DreamJob

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys may share passes; the engine sorts their sizes out."""
        return self.job.program

    @property
    def megapixels(self) -> float:
        """How large the picture is as it will be dreamt."""
        return self.job.pixels.shape[1] * self.job.pixels.shape[2] / 1e6


@dataclass(frozen=True)
class RenderedPicture:
    """A dream that still has to be post-filtered and encoded, and what made it.

    ``source`` is the picture before the dream ``(3, H, W)``, for the post-filters; ``None`` if there are none.
    """

    picture: Picture
    recipe: ResolvedRecipe
    seed: int
    source: Tensor | None
    dream: Dream
    device: str
    num_threads: int

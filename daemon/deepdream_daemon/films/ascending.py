"""The ascent of a photo's dream as a film: a frame for each step, and a moment to look at the last."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from deepdream_daemon.films.colours import as_filmed
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.journeying import even
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.motion.production import State, Still

_LAST_SECONDS = Fraction(1)


class Ascending:
    """The ascent of a photo, ``rate`` steps a second; see ``scenes.Scene``. ``beside`` are its companions.

    It is the dream that the photo would have otherwise. Where a side has an odd number of pixels, its last one is left
    out of the film, not of the dream.
    """

    audio_from = None
    dreams = 1

    def __init__(
        self, recipe: ResolvedRecipe, seed: int, photo: Picture, beside: Mapping[str, Picture], *, rate: Fraction
    ) -> None:
        from deepdream_engine.motion.ascent import Ascent

        self._recipe = recipe
        self._seed = seed
        pixels = as_filmed(photo)
        begun = recipe.begin(Start(pixels=pixels, seed=seed, masks=recipe.masks(pixels, beside)))
        self.production = Ascent(recipe.job_of(begun, beside))
        height, width = self._finished(begun.pixels, begun.pixels).shape[1:]
        self.facts = FilmFacts(width=width, height=height, rate=rate, loop=0, frames=self.production.stills)

    def recipe_of(self, number: int) -> ResolvedRecipe:  # noqa: ARG002  (there is one job)
        """Return the recipe."""
        return self._recipe

    def can_resume(self, state: State) -> bool:  # noqa: ARG002
        """It needs nothing but the photo."""
        return True

    def shown(self, still: Still) -> Frame:
        """Return a frame as it is shown."""
        assert still.pixels is not None  # none is shown again
        assert still.start is not None
        rate = self.facts.rate
        pixels = self._finished(still.pixels, still.start)
        is_last = still.number == self.production.stills - 1
        duration = max(1 / rate, _LAST_SECONDS) if is_last else 1 / rate
        return Frame(pixels=pixels.numpy(), pts=still.number / rate, duration=duration)

    def check(self) -> None:
        """Nothing can have changed meanwhile."""

    def close(self) -> None:
        """Nothing is open."""

    def _finished(self, dream: Tensor, start: Tensor) -> Tensor:
        """Return a frame after the post-filters, which have one seed for all: what they draw does not flicker."""
        return even(self._recipe.finish(Finish(dream=dream, source=start, seed=self._seed)).dream)

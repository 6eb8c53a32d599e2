"""A journey: a photo becomes a film, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepdream_daemon.films.colours import as_filmed
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.moving import JourneyRecipe
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from fractions import Fraction

    from torch import Tensor

    from deepdream_engine.motion.journey import Journey
    from deepdream_engine.motion.production import State, Still


def journey_of(recipe: ResolvedRecipe) -> JourneyRecipe:
    """Return the recipe's journey; raises :class:`BadOption` if it has none."""
    if recipe.journey is None:
        raise BadOption(
            f"the recipe {recipe.name!r} has no journey. Choose one that has, such as article or google-zoom, or give "
            f"it one: --set journey.zoom=1.02"
        )
    return recipe.journey


class Journeying:
    """The journey of a photo, ``rate`` frames a second; see ``scenes.Scene``. ``beside`` are its companions."""

    audio_from = None

    def __init__(
        self,
        recipe: ResolvedRecipe,
        seed: int,
        photo: Picture,
        beside: Mapping[str, Picture],
        *,
        rate: Fraction,
        kept: FrameFolder,
    ) -> None:
        self._recipe = recipe
        self._journey_recipe = journey_of(recipe)
        self._seed = seed
        self._kept = kept
        first = even(recipe.begin(Start(pixels=as_filmed(photo), seed=seed)).pixels)
        self.production: Journey = self._journey_recipe.production(recipe, first, seed, beside, kept)
        height, width = self._finished(first, first, 0).shape[1:]
        self.facts = FilmFacts(width=width, height=height, rate=rate, loop=0, frames=self.production.stills)
        timeline = self._journey_recipe.timeline
        self.dreams = timeline.dreamt
        if self.production.repeats:
            kept.check(timeline.frames, 3 * height * width)
        kept.check(timeline.closing, first.nbytes)

    def recipe_of(self, number: int) -> ResolvedRecipe:
        """Return the recipe of one frame."""
        return self._journey_recipe.still(self._recipe, self._journey_recipe.timeline.at(number))

    def can_resume(self, state: State) -> bool:
        """Tell whether the frames are there that the film shows again, or closes with."""
        shown, put = self.production.needs(state)
        return self._kept.has(shown=shown, put=put)

    def shown(self, still: Still) -> Frame:
        """Return a frame as it is shown."""
        rate = self.facts.rate
        return Frame(pixels=self._pixels(still).numpy(), pts=still.number / rate, duration=1 / rate)

    def check(self) -> None:
        """Nothing can have changed meanwhile."""

    def close(self) -> None:
        """Nothing is open."""

    def _pixels(self, still: Still) -> Tensor:
        if still.again is not None:
            return self._kept.shown(still.again)
        assert still.pixels is not None  # or else it is shown once more
        assert still.start is not None
        pixels = self._finished(still.pixels, still.start, still.number)
        if self.production.repeats:
            self._kept.show(still.number, pixels)
        return pixels

    def _finished(self, dream: Tensor, start: Tensor, number: int) -> Tensor:
        """Return a dream after the post-filters, which frames are shown with and no other frame is made from."""
        from deepdream_engine.motion.journey import frame_seed

        return self._recipe.finish(Finish(dream=dream, source=start, seed=frame_seed(self._seed, number))).dream


def even(pixels: Tensor) -> Tensor:
    """Return ``(3, H, W)`` without the last row or column if there is an odd number of them: with these, H.264 has no
    colours that all players show."""
    height, width = pixels.shape[1:]
    return pixels[:, : max(1, height // 2 * 2), : max(1, width // 2 * 2)].contiguous()

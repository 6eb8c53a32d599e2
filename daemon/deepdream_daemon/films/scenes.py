"""What a film is made of, for whoever dreams it: its jobs, and its frames as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.options import FilmOptions, check
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_engine.motion.production import Production, Still


class Scene(Protocol):
    """``facts`` are the film's, ``dreams`` is how many its production takes; ``audio_from`` is the file whose sound it
    has."""

    @property
    def facts(self) -> FilmFacts: ...

    @property
    def production(self) -> Production: ...

    @property
    def dreams(self) -> int: ...

    @property
    def audio_from(self) -> Path | None: ...

    def recipe_of(self, number: int) -> ResolvedRecipe:
        """Return the recipe of the job ``number``."""
        ...

    def shown(self, still: Still) -> Frame:
        """Return a frame as it is shown."""
        ...

    def check(self) -> None:
        """Raise what forbids to show the film, now that all of it is made."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


Compose = Callable[[FrameFolder], Scene]
"""``compose(kept)``: the scene; ``kept`` is where frames lie that it needs once more."""


def film_options(recipe: ResolvedRecipe) -> FilmOptions:
    """Return how the recipe wants its film written; raises :class:`BadOption` if this machine cannot."""
    said: dict[str, Any] = {**recipe.film}
    if "rate" in said:
        said["rate"] = Fraction(said["rate"]).limit_denominator(1001)  # NTSC's rates are so many thousand by 1001
    options = FilmOptions(**said)
    check(options)
    return options

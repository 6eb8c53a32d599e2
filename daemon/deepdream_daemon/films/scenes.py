"""What a film is made of, for whoever dreams it: its jobs, and its frames as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.options import FilmOptions, check
from deepdream_engine.errors import BadOption
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_daemon.films.clipping import ClipFile
    from deepdream_engine.motion.production import Production, State, Still


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
    def audio_from(self) -> ClipFile | None: ...

    def recipe_of(self, number: int) -> ResolvedRecipe:
        """Return the recipe of the job ``number``."""
        ...

    def can_resume(self, state: State) -> bool:
        """Tell whether all is there that was kept for the frames after ``state``."""
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
    if recipe.atlas is not None:
        raise BadOption(
            f"{recipe.atlas.place}: an atlas is a sheet of one photo. Choose a film's layer by its name, as in "
            f"--recipe classic --set objective.layer=NAME; the sheet of a photo tells the names."
        )
    said: dict[str, Any] = {**recipe.film}
    if "rate" in said:
        said["rate"] = Fraction(said["rate"]).limit_denominator(1001)  # NTSC's rates are so many thousand by 1001
    options = FilmOptions(**said)
    check(options)
    return options

"""A film made in this process: whatever it is made of, its frames are dreamt, shown and written, and one that was
stopped goes on.

Frames are dreamt by the thread that asks. They are encoded beside it, into chunks in the state folder, until the whole
film becomes visible in one step.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.chunks import Spool
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.options import FilmOptions, check
from deepdream_daemon.films.writing import FilmWriter
from deepdream_daemon.oneshot.frame_folder import FrameFolder
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.oneshot.time_left import TimeLeft, words
from deepdream_daemon.pipeline.darkroom import Darkroom, PreparedPicture, RenderedPicture
from deepdream_daemon.private import make_private
from deepdream_daemon.terminal.messages import readable
from deepdream_daemon.terminal.progress import Bars
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_engine.motion.production import Production, Still
    from deepdream_plugins.hosting.host import PluginHost

FILMS = "films"
"""The folder of unfinished films in the state folder."""
MOST_UNFINISHED_BYTES = 16 * 2**30
"""Of one film: its chunks, and again its frames that are needed once more."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished film: where it is, how many frames it has and how many of them an earlier run had made.

    ``rate`` is how many frames were dreamt in a second, ``busy_share`` the part of the time in which the device
    computed; ``notes`` tell what differs from what was asked for.
    """

    path: Path
    frames: int
    resumed_at: int
    rate: float
    busy_share: float
    notes: tuple[str, ...]


class Scene(Protocol):
    """What a film is made of. ``facts`` are the film's, ``dreams`` is how many its production takes; ``audio_from`` is
    the file whose sound it has."""

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


def make_film(work: Work, target: Path, compose: Compose, *, settings: Settings, host: PluginHost, shown: Bars) -> Film:
    """Make the film of ``work`` and publish it as ``target``, or under the next free name."""
    options = film_options(work.recipe)
    darkroom = Darkroom(settings.engine, settings.pictures.max_megapixels, host)
    make_private(settings.state)
    identity = _identity(work)
    folder = settings.state / FILMS / hashlib.sha256(identity.encode()).hexdigest()[:24]
    kept = FrameFolder(folder.with_name(f"{folder.name}-kept"), MOST_UNFINISHED_BYTES)
    made: dict[str, Any] = {}
    begun = time.monotonic()
    with Spool(folder, MOST_UNFINISHED_BYTES) as spool:
        scene = compose(kept)
        with FilmWriter(
            target,
            scene.facts,
            options,
            spool,
            audio_from=scene.audio_from,
            identity=identity,
            provenance=_provenance(work, made),
        ) as writer:
            point = writer.resume_point()
            resumed_at = writer.frames
            if point is None:
                kept.remove()  # of a run that did not get as far as its first chunk
            else:
                made.update(point.state.get("made", {}))
            if point is None or not point.is_whole:
                state = None if point is None else point.state
                _shoot(work, scene, made, writer, state=state, darkroom=darkroom, shown=shown)
            scene.check()
            seconds = time.monotonic() - begun
            path = writer.finish()
            film = Film(
                path=path,
                frames=writer.frames,
                resumed_at=resumed_at,
                rate=(writer.frames - resumed_at) / seconds,
                busy_share=min(1.0, darkroom.busy_seconds / seconds),
                notes=tuple(writer.notes),
            )
    spool.remove()
    kept.remove()
    return film


def _shoot(
    work: Work, scene: Scene, made: dict[str, Any], writer: FilmWriter, *, state: Any, darkroom: Darkroom, shown: Bars
) -> None:
    """Dream and write all frames that are left after ``state``, if there is one; ``made`` takes what made them."""
    production = scene.production
    if state is not None:
        production.resume(state)
    bar, time_left = shown.add(readable(work.photo.name), work.recipe.name), TimeLeft()

    def on_progress(_: int, fraction: float) -> None:
        done = min(1.0, production.fraction + fraction / scene.dreams)
        left = time_left.seconds(done)
        about = "" if left is None else f", about {words(left)} left"
        shown.update(bar, done, f"frame {writer.frames + 1} of {production.stills}{about}")

    def write() -> None:
        while (still := production.next_still()) is not None:
            writer.write(scene.shown(still), lambda: {**production.state(), "made": dict(made)})

    try:
        write()  # what is shown once more needs no dream
        numbers: list[int] = []
        jobs = _jobs(scene, numbers)
        for index, outcome in darkroom.dream(jobs, on_progress=on_progress, should_stop=lambda: False):
            number = numbers[index]
            if not isinstance(outcome, RenderedPicture):
                raise _at_frame(number % production.stills, outcome)
            dream = outcome.dream
            made.update(
                weights_sha256=dream.weights_sha256,
                device=outcome.device,
                tile_px=dream.tile_px,
                precision=dream.precision,
            )
            production.receive(number, dream.pixels)
            write()
    finally:
        scene.close()
    shown.finish(bar, f"{writer.frames} frames dreamt")


def _jobs(scene: Scene, numbers: list[int]) -> Iterator[PreparedPicture | None]:
    """Yield the jobs that are there, noting their ``numbers``."""
    import numpy as np

    nothing = Picture(pixels=np.empty((0, 0, 3), np.float32), format="PNG")
    while not scene.production.done:
        asked = scene.production.next_job()
        if asked is None:
            yield None
            continue
        number, job = asked
        numbers.append(number)
        yield PreparedPicture(picture=nothing, recipe=scene.recipe_of(number), job=job)


def _at_frame(number: int, error: DeepDreamError) -> DeepDreamError:
    """Return the error with the frame that it happened in; its kind decides the exit code."""
    if type(error) not in (BadOption, DeepDreamError):
        error.add_note(f"in frame {number + 1}")
        return error
    return type(error)(f"frame {number + 1}: {error}")


def _identity(work: Work) -> str:
    """Return all that decides what the frames are, except for how they are written."""
    digests = {name: companion.to_dict() for name, companion in work.companions.items()}
    return json.dumps([__version__, work.sha256, work.recipe.fingerprint(), work.seed, digests], sort_keys=True)


def _provenance(work: Work, made: dict[str, Any]) -> dict[str, Any]:
    """Return what the film tells of its making; ``made`` is filled in while it is made."""
    return {
        **work.provenance(),
        "deepdream": __version__,
        "recipe": work.recipe.to_dict(paths=False),
        "seed": work.seed,
        "model": {"name": work.recipe.model.spec.name},
        "engine": made,
    }

"""A journey made in this process: a photo becomes a film, frame by frame, and a film that was stopped goes on.

Frames are dreamt by the thread that asks. They are encoded beside it, into chunks in the state folder, until the whole
film becomes visible in one step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.chunks import Spool
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.options import FilmOptions, check
from deepdream_daemon.films.writing import FilmWriter
from deepdream_daemon.intake.companions import locate
from deepdream_daemon.oneshot.film_colours import as_filmed
from deepdream_daemon.oneshot.frame_folder import FrameFolder
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.oneshot.time_left import TimeLeft, words
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_daemon.pipeline.darkroom import Darkroom, PreparedPicture, RenderedPicture
from deepdream_daemon.private import make_private
from deepdream_daemon.terminal.messages import readable
from deepdream_daemon.terminal.progress import Bars
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.pictures import Picture, decode
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.moving import JourneyRecipe
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.motion.journey import Journey
    from deepdream_engine.motion.production import Still
    from deepdream_plugins.hosting.host import PluginHost

FILMS = "films"
"""The folder of unfinished films in the state folder."""
MOST_UNFINISHED_BYTES = 16 * 2**30
"""Of one film: its chunks, and again its frames that are needed once more."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished film: where it is, how many frames it has and how many of them an earlier run had made; ``notes`` tell
    what differs from what was asked for."""

    path: Path
    frames: int
    resumed_at: int
    notes: tuple[str, ...]


def journey_of(recipe: ResolvedRecipe) -> JourneyRecipe:
    """Return the recipe's journey; raises :class:`BadOption` if it has none."""
    if recipe.journey is None:
        raise BadOption(
            f"the recipe {recipe.name!r} has no journey. Choose one that has, such as article or google-zoom, or give "
            f"it one: --set journey.zoom=1.02"
        )
    return recipe.journey


def film_options(recipe: ResolvedRecipe) -> FilmOptions:
    """Return how the recipe wants its film written; raises :class:`BadOption` if this machine cannot."""
    said: dict[str, Any] = {**recipe.film}
    if "rate" in said:
        said["rate"] = Fraction(said["rate"]).limit_denominator(1001)  # NTSC's rates are so many thousand by 1001
    options = FilmOptions(**said)
    check(options)
    return options


def companion_places(photo: Path, recipe: ResolvedRecipe) -> dict[str, Path]:
    """Return where the guides and masks are that the journey's segments use."""
    wanted: dict[str, bool] = {}
    for still in journey_of(recipe).stills(recipe):
        for name, is_needed in still.companions().items():
            wanted[name] = is_needed or wanted.get(name, False)
    return locate(photo, wanted, recipe.name)


def make_film(work: Work, target: Path, settings: Settings, host: PluginHost, shown: Bars) -> Film:
    """Dream the journey of ``work`` and publish it as ``target``, or under the next free name."""
    options = film_options(work.recipe)
    darkroom = Darkroom(settings.engine, settings.pictures.max_megapixels, host)
    make_private(settings.state)
    identity = _identity(work)
    folder = settings.state / FILMS / hashlib.sha256(identity.encode()).hexdigest()[:24]
    kept = FrameFolder(folder.with_name(f"{folder.name}-kept"), MOST_UNFINISHED_BYTES)
    made: dict[str, Any] = {}
    with Spool(folder, MOST_UNFINISHED_BYTES) as spool:
        shooting = _Shooting(work, settings, options, kept, made)
        with FilmWriter(
            target, shooting.facts, options, spool, identity=identity, provenance=_provenance(work, made)
        ) as writer:
            point = writer.resume_point()
            resumed_at = writer.frames
            if point is None:
                kept.remove()  # of a run that did not get as far as its first chunk
            else:
                made.update(point.state.get("made", {}))
            if point is None or not point.is_whole:
                shooting.run(writer, None if point is None else point.state, darkroom, shown)
            path = writer.finish()
            film = Film(path=path, frames=writer.frames, resumed_at=resumed_at, notes=tuple(writer.notes))
    spool.remove()
    kept.remove()
    return film


class _Shooting:
    """One film from where it stands to its last frame. ``made`` takes what its dreams were made with."""

    def __init__(
        self, work: Work, settings: Settings, options: FilmOptions, kept: FrameFolder, made: dict[str, Any]
    ) -> None:
        self._name = readable(work.photo.name)
        self._recipe = recipe = work.recipe
        self._journey_recipe = journey_of(recipe)
        self._seed = work.seed
        self._kept = kept
        self._made = made
        most = settings.pictures.max_megapixels
        beside = companion_pictures(work.companions, partial(decode, max_megapixels=most))
        photo = as_filmed(decode(work.data.pop(), max_megapixels=most))
        first = _even(recipe.begin(Start(pixels=photo, seed=work.seed)).pixels)
        self._journey: Journey = self._journey_recipe.production(recipe, first, work.seed, beside, kept)
        height, width = self._finished(first, first, 0).shape[1:]
        self.facts = FilmFacts(width=width, height=height, rate=options.rate, loop=0, frames=self._journey.stills)
        timeline = self._journey_recipe.timeline
        if self._journey.repeats:
            kept.check(timeline.frames, 3 * height * width)
        kept.check(timeline.closing, first.nbytes)

    def run(self, writer: FilmWriter, state: Any, darkroom: Darkroom, shown: Bars) -> None:
        """Dream, finish and write all frames that are left after ``state``, if there is one."""
        journey, dreams = self._journey, self._journey_recipe.timeline.dreamt
        if state is not None:
            journey.resume(state)
        bar, time_left = shown.add(self._name, self._recipe.name), TimeLeft()

        def on_progress(_: int, fraction: float) -> None:
            done = journey.fraction + fraction / dreams
            left = time_left.seconds(done)
            about = "" if left is None else f", about {words(left)} left"
            shown.update(bar, done, f"frame {writer.frames + 1} of {journey.stills}{about}")

        self._write(writer)  # what is shown once more needs no dream
        numbers: list[int] = []
        for index, outcome in darkroom.dream(self._jobs(numbers), on_progress=on_progress, should_stop=lambda: False):
            number = numbers[index]
            if not isinstance(outcome, RenderedPicture):
                raise _at_frame(number, outcome)
            dream = outcome.dream
            self._made.update(
                weights_sha256=dream.weights_sha256,
                device=outcome.device,
                tile_px=dream.tile_px,
                precision=dream.precision,
            )
            journey.receive(number, dream.pixels)
            self._write(writer)
        shown.finish(bar, f"{writer.frames} frames dreamt")

    def _jobs(self, numbers: list[int]) -> Iterator[PreparedPicture | None]:
        """Yield the jobs, one at a time, noting their ``numbers``."""
        import numpy as np

        nothing = Picture(pixels=np.empty((0, 0, 3), np.float32), format="PNG")
        journey, recipe = self._journey_recipe, self._recipe
        while not self._journey.done:
            asked = self._journey.next_job()
            if asked is None:
                yield None
                continue
            number, job = asked
            numbers.append(number)
            still = journey.still(recipe, journey.timeline.at(number))
            yield PreparedPicture(picture=nothing, recipe=still, job=job)

    def _write(self, writer: FilmWriter) -> None:
        """Write the frames that are there."""
        while (still := self._journey.next_still()) is not None:
            frame = Frame(
                pixels=self._pixels(still).numpy(),
                pts=still.number / self.facts.rate,
                duration=1 / self.facts.rate,
            )
            writer.write(frame, lambda: {**self._journey.state(), "made": dict(self._made)})

    def _pixels(self, still: Still) -> Tensor:
        """Return a frame as it is shown."""
        if still.again is not None:
            return self._kept.shown(still.again)
        assert still.pixels is not None  # or else it is shown once more
        assert still.start is not None
        pixels = self._finished(still.pixels, still.start, still.number)
        if self._journey.repeats:
            self._kept.show(still.number, pixels)
        return pixels

    def _finished(self, dream: Tensor, start: Tensor, number: int) -> Tensor:
        """Return a dream after the post-filters, which frames are shown with and no other frame is made from."""
        from deepdream_engine.motion.journey import frame_seed

        return self._recipe.finish(Finish(dream=dream, source=start, seed=frame_seed(self._seed, number))).dream


def _even(pixels: Tensor) -> Tensor:
    """Return ``(3, H, W)`` without the last row or column if there is an odd number of them: with these, H.264 has no
    colours that all players show."""
    height, width = pixels.shape[1:]
    return pixels[:, : max(1, height // 2 * 2), : max(1, width // 2 * 2)].contiguous()


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

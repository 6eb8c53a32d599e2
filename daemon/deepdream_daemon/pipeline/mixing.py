"""The jobs of one run of the engine: pictures, and the frames of films between them.

To the engine all are jobs with numbers of its own. Pictures are asked for first, so that a film, which always has one
more frame, keeps none of them waiting.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_daemon.films.chunks import SpoolBusy
from deepdream_daemon.films.shot import made_by
from deepdream_daemon.microscope.sheet import PreparedSheet, RenderedSheet
from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm
from deepdream_daemon.pipeline.film_orders import GivesWay, TakesPreviews, ToBeContinued
from deepdream_daemon.pipeline.rendering import Progress
from deepdream_daemon.pipeline.showing import Showing
from deepdream_engine.errors import BadOption, EngineFault
from deepdream_engine.records import DreamJob, Failure, Outcome

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.darkroom import PreparedPicture
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

Told = tuple[int, Any]
"""The number of a picture or film as the feed counts them, and what came of it."""


@dataclass(frozen=True)
class _Picture:
    index: int
    prepared: PreparedPicture


@dataclass(frozen=True)
class _FrameJob:
    film: _Film
    number: int
    recipe: ResolvedRecipe


@dataclass(eq=False)
class _Film:
    index: int
    prepared: PreparedFilm | PreparedSheet
    shot: Any
    is_over: bool = False


class Mixing:
    """Hands the engine what ``feed`` has, and the feed's numbers back; ``on_picture`` makes of a picture's outcome what
    is told. To be closed."""

    def __init__(
        self,
        feed: Iterator[PreparedPicture | PreparedFilm | PreparedSheet | None],
        *,
        on_picture: Callable[[PreparedPicture, Outcome], Any],
        on_progress: Progress,
        device: str,
    ) -> None:
        self._feed = feed
        self._on_picture = on_picture
        self._on_progress = on_progress
        self._device = device
        self._flying: dict[int, _Picture | _FrameJob] = {}
        self._films: list[_Film] = []
        self._ready: list[Told] = []
        self._handed = self._jobs_handed = 0
        self._is_feed_over = False

    def jobs(self) -> Iterator[DreamJob | None]:
        """Yield the engine's jobs; ``None`` while there is none."""
        while True:
            taken = self._taken()
            if isinstance(taken, PreparedFilm | PreparedSheet):
                self._begin(taken)
                del taken
                continue
            if taken is not None:
                yield self._fly(_Picture(self._handed - 1, taken), self._job(self._handed - 1, taken))
                del taken
                continue
            frame = self._next_frame()
            if frame is not None:
                yield frame
                del frame
            elif not self._flying and (self._ready or (not self._films and self._is_feed_over)):
                return  # what is ready is told when the engine has ended
            elif not self._flying and self._films:
                for film in list(self._films):
                    self._end(film, EngineFault("the film has no frame to go on with"))
            else:
                yield None

    def landed(self, done: tuple[int, Outcome]) -> list[Told]:
        """Return what is to be told, now that a job is done."""
        job = self._flying.pop(done[0])
        if isinstance(job, _Picture):
            return [(job.index, self._on_picture(job.prepared, done[1])), *self.told()]
        if not job.film.is_over:
            self._take_in(job, done[1])
        return self.told()

    def told(self) -> list[Told]:
        """Return what has become of films meanwhile."""
        ready, self._ready = self._ready, []
        return ready

    def progress(self, number: int, fraction: float) -> None:
        """Tell how far something is."""
        job = self._flying.get(number)
        if isinstance(job, _Picture):
            self._on_progress(job.index, fraction)
        elif job is not None and not job.film.is_over:
            self._go_on(job.film)  # frames may be there before their dream is
            if job.film.is_over:
                return
            shot = job.film.shot
            self._on_progress(job.film.index, shot.fraction(fraction), shot.words)

    def close(self) -> None:
        """Let go of the films that are still under way: what is finished of them stays."""
        for film in self._films:
            film.is_over = True
            film.shot.close()
        self._films.clear()

    def _taken(self) -> PreparedPicture | PreparedFilm | PreparedSheet | None:
        if self._is_feed_over:
            return None
        try:
            taken = next(self._feed)
        except StopIteration:
            self._is_feed_over = True
            return None
        if taken is not None:
            self._handed += 1
        return taken

    def _job(self, index: int, prepared: PreparedPicture) -> DreamJob:
        """Return the job of a picture; if it wants to be shown, with somebody who sees to that."""
        feed, job = self._feed, prepared.job
        if not (isinstance(feed, TakesPreviews) and feed.wants_preview(index)):
            return job
        return replace(
            job, watch=Showing(job, lambda dream: feed.take_preview(index, self._on_picture(prepared, dream)))
        )

    def _fly(self, job: _Picture | _FrameJob, dream: DreamJob) -> DreamJob:
        self._flying[self._jobs_handed] = job
        self._jobs_handed += 1
        return dream

    def _begin(self, prepared: PreparedFilm | PreparedSheet) -> None:
        index = self._handed - 1
        try:
            film = _Film(index, prepared, prepared.begin())
        except SpoolBusy as error:  # a worker that was ended a moment ago may still have it
            self._ready.append((index, OSError(errno.EBUSY, str(error))))
            return
        except Exception as error:  # noqa: BLE001  (it is the film's alone, and judged by the daemon)
            self._ready.append((index, error))
            return
        self._films.append(film)
        self._go_on(film)

    def _next_frame(self) -> DreamJob | None:
        for film in list(self._films):
            try:
                asked = film.shot.next_job()
            except Exception as error:  # noqa: BLE001
                self._end(film, error)
                continue
            if asked is not None:
                self._films.remove(film)  # the next time it is the others' turn first
                self._films.append(film)
                number, recipe, job = asked
                return self._fly(_FrameJob(film, number, recipe), job)
        return None

    def _take_in(self, job: _FrameJob, outcome: Outcome) -> None:
        film = job.film
        if isinstance(outcome, Failure):
            error = outcome.error
            placed = job.recipe.placed(error) if isinstance(error, BadOption) else error
            ended = film.shot.failed(job.number, placed)
            if ended is None:
                self._go_on(film)
            else:
                self._end(film, ended)
            return
        try:
            film.shot.receive(job.number, outcome.pixels, made_by(outcome, self._device))
        except Exception as error:  # noqa: BLE001
            self._end(film, error)
        else:
            self._go_on(film)

    def _go_on(self, film: _Film) -> None:
        """Write what is final of it; it may be done now, or give way to others."""

        def gives_way() -> bool:
            return isinstance(self._feed, GivesWay) and self._feed.gives_way(film.index)

        shot = film.shot
        try:
            if shot.write(gives_way):
                self._end(film, ToBeContinued(f"{shot.frames} of {shot.stills} frames are dreamt; the rest follows"))
            elif shot.is_done:
                self._end(film, film.prepared.rendered(shot))
        except Exception as error:  # noqa: BLE001
            self._end(film, error)

    def _end(self, film: _Film, outcome: RenderedFilm | RenderedSheet | Exception) -> None:
        film.is_over = True
        self._films.remove(film)
        try:
            film.shot.close()
        except Exception as error:  # noqa: BLE001
            outcome = outcome if isinstance(outcome, Exception) else error
        self._ready.append((film.index, outcome))

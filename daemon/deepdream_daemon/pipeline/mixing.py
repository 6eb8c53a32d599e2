"""The jobs of one run of the engine: pictures, and the frames of films between them.

To the engine all are jobs with numbers of its own. Pictures are asked for first, so that a film, which always has one
more frame, keeps none of them waiting. Nor does one that is being opened, or waits to be read: see ``film_run``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.sheet import PreparedSheet
from deepdream_daemon.pipeline.cutting_room import PreparedFilm
from deepdream_daemon.pipeline.film_orders import GivesWay, TakesPreviews
from deepdream_daemon.pipeline.film_run import FilmRun
from deepdream_daemon.pipeline.rendering import Progress
from deepdream_daemon.pipeline.showing import Showing
from deepdream_engine.records import DreamJob, Outcome

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.darkroom import PreparedPicture
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

Told = tuple[int, Any]
"""The number of a picture or film as the feed counts them, and what came of it."""

_IDLE_SECONDS = 0.05
"""How often an idle device looks for pictures while films are being opened or read."""
_END_SECONDS = 1.0
"""So long a film that is done is waited for to be put away: the next that lands, with which it could be told of, may be
a picture that takes long."""
_CLOSE_SECONDS = 5.0
"""So long the films that are under way are waited for at the end of a run; what hangs then is left to itself."""


@dataclass(frozen=True)
class _Picture:
    index: int
    prepared: PreparedPicture


@dataclass(frozen=True)
class _FrameJob:
    film: FilmRun
    number: int
    recipe: ResolvedRecipe


class Mixing:
    """Hands the engine what ``feed`` has, and the feed's numbers back; ``on_picture`` makes of a picture's outcome what
    is told. To be closed.

    The engine may come to the end of :meth:`jobs` while films are under way, so that what is ready can be told: as long
    as :attr:`has_films`, it is to begin anew.
    """

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
        self._films: list[FilmRun] = []
        self._ready: list[Told] = []
        self._handed = self._jobs_handed = 0
        self._is_feed_over = False
        self._stirred = threading.Event()

    def jobs(self) -> Iterator[DreamJob | None]:
        """Yield the engine's jobs; ``None`` while there is none."""
        self._jobs_handed = 0  # the engine counts them
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
            self._stirred.clear()
            frame = self._next_frame()
            if frame is not None:
                yield frame
                del frame
                continue
            if not self._flying and (self._ready or (not self._films and self._is_feed_over)):
                return  # what is ready is told when the engine has ended
            if not self._flying and self._films:
                self._stirred.wait(_IDLE_SECONDS)
            yield None

    @property
    def has_films(self) -> bool:
        """Whether films are under way."""
        return bool(self._films)

    def landed(self, done: tuple[int, Outcome]) -> list[Told]:
        """Return what is to be told, now that a job is done."""
        job = self._flying.pop(done[0])
        if isinstance(job, _Picture):
            return [(job.index, self._on_picture(job.prepared, done[1])), *self.told()]
        job.film.take_in(job.number, job.recipe, done[1], self._device)
        job.film.await_end(_END_SECONDS)
        return self.told()

    def told(self) -> list[Told]:
        """Return what has become of films meanwhile."""
        self._collect()
        ready, self._ready = self._ready, []
        return ready

    def progress(self, number: int, fraction: float) -> None:
        """Tell how far something is."""
        job = self._flying.get(number)
        if isinstance(job, _Picture):
            self._on_progress(job.index, fraction)
        elif job is not None and (now := job.film.progress(fraction)) is not None:
            self._on_progress(job.film.index, *now)

    def close(self) -> None:
        """Let go of the films that are still under way: what is finished of them stays."""
        films, self._films = self._films, []
        wait([film.close() for film in films], _CLOSE_SECONDS)

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
        index, feed = self._handed - 1, self._feed

        def gives_way() -> bool:
            return isinstance(feed, GivesWay) and feed.gives_way(index)

        try:
            self._films.append(FilmRun(index, prepared, gives_way=gives_way, on_stirred=self._stirred.set))
        except OSError as error:
            self._ready.append((index, error))

    def _next_frame(self) -> DreamJob | None:
        self._collect()
        for film in list(self._films):
            if (asked := film.next_job()) is not None:
                self._films.remove(film)  # the next time it is the others' turn first
                self._films.append(film)
                number, recipe, job = asked
                return self._fly(_FrameJob(film, number, recipe), job)
        self._collect()
        return None

    def _collect(self) -> None:
        """Make ready what has become of films."""
        for film in list(self._films):
            if (outcome := film.outcome) is not None:
                self._films.remove(film)
                self._ready.append((film.index, outcome))

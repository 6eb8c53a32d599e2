"""A film, or a sheet, in a run of the engine: begun, asked for its frames, and put away.

Whatever of it waits for a disk or for another process (to open it, to decode up to where it goes on, to write what is
left) is done by a thread of its own, so that the device's thread does not wait and other pictures go on meanwhile. A
sheet has nothing to wait for, and a network may be traced for it, which only the device's thread may do.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from deepdream_daemon.films.chunks import SpoolBusy
from deepdream_daemon.films.shot import made_by
from deepdream_daemon.microscope.sheet import PreparedSheet, RenderedSheet
from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm
from deepdream_daemon.pipeline.film_orders import ToBeContinued
from deepdream_daemon.pipeline.threads import DaemonThreads
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine.errors import BadOption
from deepdream_engine.records import DreamJob, Failure, Outcome

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

Ended = RenderedFilm | RenderedSheet | Exception
P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""A film that has nothing to dream for so long, and whose disk or reader says nothing, is put off."""
_LOOK_SECONDS = 1.0
"""While the device is at other pictures for longer than this, nobody asks a film, and it is not waited for."""


class FilmRun:
    """Number ``index`` of a run. All but what its own thread does belongs to the device's thread.

    ``gives_way()`` tells whether it is to end its slice; ``on_stirred`` is told, in any thread, whenever it may have
    something new to say. Raises ``OSError`` if there is no thread for it.
    """

    def __init__(
        self,
        index: int,
        prepared: PreparedFilm | PreparedSheet,
        *,
        gives_way: Callable[[], bool],
        on_stirred: Callable[[], None],
    ) -> None:
        self.index = index
        self._prepared = prepared
        self._gives_way = gives_way
        self._on_stirred = on_stirred
        self._stirred_at = self._looked_at = time.monotonic()
        is_sheet = isinstance(prepared, PreparedSheet)
        self._hands: Executor = _AtOnce() if is_sheet else DaemonThreads(1, "film", is_background=True)
        self._opening = self._hand(self._open)
        self._shot: Any = None
        self._ending: Future[Ended] | None = None
        self._in_flight = 0

    @property
    def outcome(self) -> Ended | None:
        """What became of it; ``None`` while it is under way."""
        return self._ending.result() if self._ending is not None and self._ending.done() else None

    def next_job(self) -> tuple[int, ResolvedRecipe, DreamJob] | None:
        """Return a job with its number and recipe; ``None`` while it has none."""
        asked = None
        if self._is_open():
            self._go_on()
            if self._ending is None:
                try:
                    asked = self._shot.next_job()
                except Exception as error:  # noqa: BLE001  (it is the film's alone, and judged by the daemon)
                    self._fail(error)
        if asked is None:
            self._watch()
            return None
        self._in_flight += 1
        return asked  # type: ignore[no-any-return]  # what a shot returns

    def take_in(self, number: int, recipe: ResolvedRecipe, outcome: Outcome, device: str) -> None:
        """Take in what became of the job ``number``."""
        self._in_flight -= 1
        if self._ending is not None:
            return
        error: Exception | None = None
        if isinstance(outcome, Failure):
            reason = outcome.error
            error = self._shot.failed(number, recipe.placed(reason) if isinstance(reason, BadOption) else reason)
        else:
            try:
                self._shot.receive(number, outcome.pixels, made_by(outcome, device))
            except Exception as raised:  # noqa: BLE001
                error = raised
        if error is not None:
            self._fail(error)
        else:
            self._go_on()

    def await_end(self, seconds: float) -> None:
        """If it is being put away, wait for that, but no longer than so many seconds."""
        if self._ending is not None:
            wait([self._ending], seconds)

    def progress(self, of_frame: float) -> tuple[float, str] | None:
        """Return how much is done, in [0, 1], and which frame it is at, if ``of_frame`` is of one in flight."""
        if self._ending is None:
            self._go_on()  # frames may be there before their dream is
        return None if self._ending is not None else (self._shot.fraction(of_frame), self._shot.words)

    def close(self) -> Future[Any]:
        """Let go of it: what is finished of it stays. Return what is done when it has let go."""
        if self._ending is not None:
            return self._ending
        closing = self._hand(self._close)
        self._hands.shutdown(wait=False)
        return closing

    def _hand(self, work: Callable[[], T]) -> Future[T]:
        future = self._hands.submit(work)
        future.add_done_callback(lambda _: self._stir())
        return future

    def _is_open(self) -> bool:
        if self._shot is None and self._ending is None and self._opening.done():
            try:
                self._shot = self._opening.result()
            except SpoolBusy as error:  # a worker that was ended a moment ago may still have it
                self._fail(OSError(errno.EBUSY, str(error)))
            except Exception as error:  # noqa: BLE001
                self._fail(error)
        return self._shot is not None and self._ending is None

    def _go_on(self) -> None:
        """Write what is final of it; it may be done now, or give way to others."""
        shot = self._shot
        try:
            if shot.write(self._gives_way):
                self._end(self._paused)
            elif shot.is_done:
                self._end(lambda: self._prepared.rendered(shot))
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _watch(self) -> None:
        """Nothing is to be done for it now: see that this does not last for ever."""
        now = time.monotonic()
        is_new, self._looked_at = now - self._looked_at > _LOOK_SECONDS, now
        if self._in_flight or is_new:
            self._stirred_at = now
        elif now - self._stirred_at > PATIENCE_SECONDS and self.outcome is None:
            late = OSError(errno.ETIMEDOUT, f"its disk, or what reads it, has not answered for {PATIENCE_SECONDS:g} s")
            if self._ending is None:
                self._hand(self._close)
                self._hands.shutdown(wait=False)
            self._ending = Future()  # nobody waits for what hangs
            self._ending.set_result(late)

    def _stir(self) -> None:
        self._stirred_at = time.monotonic()
        self._on_stirred()

    def _fail(self, error: Exception) -> None:
        self._end(lambda: error)

    def _end(self, made: Callable[[], Ended]) -> None:
        """``made`` returns what becomes of it."""
        self._ending = self._hand(lambda: self._put_away(made))
        self._hands.shutdown(wait=False)

    # In its own thread

    def _open(self) -> Any:
        if isinstance(self._prepared, PreparedSheet):
            return self._prepared.begin()
        TorchThreads(None).stand_back()
        return self._prepared.begin(self._stir)

    def _paused(self) -> Ended:
        shot = self._shot
        shot.settle()
        return ToBeContinued(f"{shot.frames} of {shot.stills} frames are dreamt; the rest follows")

    def _put_away(self, made: Callable[[], Ended]) -> Ended:
        try:
            outcome = made()
        except Exception as error:  # noqa: BLE001
            outcome = error
        try:
            self._close()
        except Exception as error:  # noqa: BLE001
            outcome = outcome if isinstance(outcome, Exception) else error
        return outcome

    def _close(self) -> None:
        if self._opening.exception() is None:
            self._opening.result().close()


class _AtOnce(Executor):
    """Does what is asked of it in the thread that asks."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  (the future raises it where it is asked for)
            future.set_exception(error)
        return future

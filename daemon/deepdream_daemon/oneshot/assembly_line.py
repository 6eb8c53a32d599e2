"""Dreaming what is named once, without a daemon or a journal, by the same renderer, seeds and publisher.

The engine runs in the thread that asks, which Ctrl-C interrupts. Beside it, other threads read and decode what comes
next, finish and publish the dreams; a :class:`~deepdream_daemon.pipeline.room.Room` bounds what is in memory. Photos
and films are in one stream, as in the daemon: whatever is ready shares passes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.oneshot.pieces import OWN_FAULTS, Finished, Made, OwnFault, Pace, Piece, Share
from deepdream_daemon.pipeline.feed import Feed, Waiting
from deepdream_daemon.pipeline.rendering import Prepared, Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.threads import DaemonThreads, pool_size
from deepdream_daemon.pipeline.time_left import TimeLeft, words
from deepdream_daemon.terminal.messages import message_of, readable
from deepdream_daemon.terminal.progress import Bars
from deepdream_engine.errors import Cancelled

_NO_PACE = Pace(0, 0)


@dataclass(eq=False)
class _Shot:
    """One piece on its way."""

    order: int
    piece: Piece
    share: Share
    work: Work | None = None
    prepared: Prepared | None = None
    rendered: Any = None
    pace: Pace = _NO_PACE
    made: Made | None = None
    bar: int | None = None
    time_left: TimeLeft = field(default_factory=TimeLeft)
    fraction: float = 0.0
    started: float = 0.0
    begun: float = 0.0
    busy_before: float = 0.0
    finished: Finished | None = None
    is_film: bool = False
    gives_way: bool = False
    wants_preview: bool = False


class AssemblyLine:
    """Pieces through the stages; ``run`` belongs to one thread, which dreams."""

    def __init__(self, pieces: Sequence[Piece], renderer: Renderer, *, max_batch: int, shown: Bars, room: Room) -> None:
        self._shots = [_Shot(order, piece, Share(room), is_film=piece.is_film) for order, piece in enumerate(pieces)]
        self._renderer = renderer
        self._max_batch = max_batch
        self._shown = shown
        self._room = room
        self._waiting: Waiting[_Shot] = Waiting()
        self._changed = threading.Condition()
        self._unread = iter(self._shots)
        self._unprepared = self._unfinished = len(self._shots)
        self._told = 0
        self._is_stopped = False
        self._fault: BaseException | None = None
        count = min(pool_size(), len(self._shots))
        self._decoders = DaemonThreads(count, "decode", is_background=True)
        self._encoders = DaemonThreads(count, "finish", is_background=True)
        self._joiners = DaemonThreads(count, "join", is_background=True)
        self._publisher = DaemonThreads(1, "publish")

    def run(self) -> Iterator[Finished]:
        """Dream all pieces, telling of each when it and those before it are done."""
        for _ in range(min(pool_size(), len(self._shots))):
            self._decoders.submit(self._guarded, self._prepare_all)
        while group := self._next_group():
            key = None if group[0].prepared is None else group[0].prepared.batch_key
            feed = Feed(self._waiting, key, self._max_batch, on_begun=self._begun)
            on_progress = partial(self._progress, feed)
            try:
                for index, outcome in self._renderer.dream(
                    feed, on_progress=on_progress, should_stop=lambda: self._fault is not None
                ):
                    self._dreamt(feed.back(index), outcome)
                    del outcome
                    yield from self.told()
            except Cancelled:
                self._check()
                raise
        with self._changed:
            self._changed.wait_for(lambda: self._fault is not None or not self._unfinished)
        self._check()
        yield from self.told()

    def stop(self) -> None:
        """Begin nothing more, and publish what is dreamt already; films that are not put together yet stay kept."""
        with self._changed:
            self._is_stopped = True
        self._room.close()
        self._joiners.shutdown(wait=False, cancel_futures=True)
        self._encoders.shutdown()
        self._publisher.submit(self._guarded, self._publish)
        self._publisher.shutdown()

    def told(self) -> Iterator[Finished]:
        """Yield what is finished and was not told of, in the order of the pieces; when stopped, without gaps."""
        while self._told < len(self._shots):
            finished = self._shots[self._told].finished
            if finished is None and not self._is_stopped:
                return
            self._told += 1
            if finished is not None:
                yield finished

    # In the decoding threads

    def _prepare_all(self) -> None:
        while True:
            with self._changed:
                shot = None if self._is_stopped else next(self._unread, None)
            if shot is None:
                return
            try:
                shot.started = time.monotonic()
                shot.work = shot.piece.read()
                shot.prepared = shot.piece.prepare(shot.work, self._renderer, shot.share)
                self._waiting.add(shot)
            except Cancelled:
                return
            except OWN_FAULTS as error:
                self._settle(shot, _failed(shot, error))
                self._publisher.submit(self._guarded, self._publish)  # one of the same name may have waited for it
            finally:
                with self._changed:
                    self._unprepared -= 1
                    self._changed.notify_all()

    # In the thread that dreams

    def _next_group(self) -> list[_Shot]:
        """Wait for pieces to dream; none when all have been prepared and begun."""
        with self._changed:
            self._changed.wait_for(lambda: self._fault is not None or len(self._waiting) or not self._unprepared)
        self._check()
        return self._waiting.of_oldest()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _begun(self, shot: _Shot) -> None:
        assert shot.work is not None  # read before it was prepared
        shot.begun, shot.busy_before = time.monotonic(), self._renderer.busy_seconds
        shot.bar = self._shown.add(readable(shot.piece.source.name), shot.work.recipe.name)

    def _progress(self, feed: Feed[_Shot], index: int, fraction: float, detail: str = "") -> None:
        if (shot := feed.progress(index, fraction)) is None or shot.bar is None:
            return
        if detail and (left := shot.time_left.seconds(fraction)) is not None:
            detail = f"{detail}, about {words(left)} left"
        self._shown.update(shot.bar, fraction, detail or None)

    def _dreamt(self, shot: _Shot, outcome: Any) -> None:
        shot.pace = Pace(time.monotonic() - shot.begun, self._renderer.busy_seconds - shot.busy_before)
        shot.prepared, shot.rendered = None, outcome
        (self._joiners if shot.is_film else self._encoders).submit(self._guarded, self._finish, shot)

    # In the threads that finish

    def _finish(self, shot: _Shot) -> None:
        work, rendered = shot.work, [shot.rendered]
        shot.rendered = None
        assert work is not None  # read before it was dreamt
        try:
            if isinstance(rendered[0], Exception):
                raise rendered[0]
            shot.made = shot.piece.finish(work, self._renderer, rendered, shot.pace)
        except OWN_FAULTS as error:
            self._settle(shot, _failed(shot, error))
        else:
            shot.share.give_back()
        self._publisher.submit(self._guarded, self._publish)

    def _publish(self) -> None:
        """Publish what is finished, except those whose name an earlier piece may still want."""
        wanted: set[str] = set()
        for shot in self._shots[self._told :]:
            if shot.finished is not None:
                continue
            made, name = shot.made, shot.piece.source.stem.lower()
            if made is None or (name in wanted and not self._is_stopped):
                wanted.add(name)
                continue
            try:
                self._settle(shot, Finished(photo=shot.piece.source, output=made.put(), film=made.film))
            except OWN_FAULTS as error:
                self._settle(shot, _failed(shot, error))

    def _settle(self, shot: _Shot, finished: Finished) -> None:
        shot.share.give_back()
        shot.made = shot.prepared = None
        if shot.bar is not None:
            dreamt = "dreamt" if finished.film is None else f"{finished.film.frames} frames dreamt"
            self._shown.finish(shot.bar, "failed" if finished.output is None else dreamt)
        recipe = "" if shot.work is None else shot.work.recipe.name
        with self._changed:
            shot.finished = replace(finished, recipe=recipe, seconds=time.monotonic() - shot.started)
            self._unfinished -= 1
            self._changed.notify_all()

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        """Let a defect in a pool end the whole: otherwise it would wait for ever."""
        try:
            work(*args)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that dreams)
            with self._changed:
                self._fault = self._fault or error
                self._changed.notify_all()


def _failed(shot: _Shot, error: OwnFault) -> Finished:
    photo = shot.piece.source
    name, message = readable(photo), message_of(error)
    return Finished(photo=photo, error=message if name in message else f"{name}: {message}", cause=error)

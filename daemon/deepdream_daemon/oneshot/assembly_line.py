"""Dreaming named photos once, without a daemon or a journal, by the same renderer, seeds and publisher.

The engine runs in the thread that asks, which Ctrl-C interrupts. Beside it, other threads read and decode the next
photos, finish and publish the dreams; a :class:`~deepdream_daemon.pipeline.room.Room` bounds what is in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.pipeline.feed import Feed, Waiting
from deepdream_daemon.pipeline.rendering import Encoded, Prepared, Renderer
from deepdream_daemon.pipeline.room import Room, default_room
from deepdream_daemon.pipeline.threads import DaemonThreads, pool_size
from deepdream_daemon.terminal.messages import message_of, readable
from deepdream_daemon.terminal.progress import Bars, bars
from deepdream_engine.errors import Cancelled, DeepDreamError

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

Read = Callable[[Path], Work]
"""Reads a photo; raises a :class:`DeepDreamError` or an ``OSError`` of that photo alone."""
Deliver = Callable[[Work, Encoded], Path]
"""Publishes a dream and returns where; raises likewise."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What became of a photo: where its dream was published, or why there is none, ``seconds`` after it was taken up;
    ``recipe`` is empty if it was not even read."""

    photo: Path
    output: Path | None = None
    error: str = ""
    recipe: str = ""
    seconds: float = 0.0


@dataclass(eq=False)
class _Shot:
    """One photo on its way."""

    order: int
    photo: Path
    work: Work | None = None
    prepared: Prepared | None = None
    rendered: Any = None
    encoded: Encoded | None = None
    megapixels: float = 0.0
    bar: int | None = None
    fraction: float = 0.0
    started: float = 0.0
    finished: Finished | None = None
    is_film: bool = False
    gives_way: bool = False
    wants_preview: bool = False


def dream_all(
    photos: Sequence[Path], read: Read, deliver: Deliver, settings: Settings, host: PluginHost
) -> Iterator[Finished]:
    """Yield what became of each photo, in their order; the plugins of ``host`` may run the batches.

    Each dream is published as soon as it is there, so that being stopped costs only those that are not; what was
    published until then is yielded before the exception that stops it goes on.
    """
    from deepdream_daemon.pipeline.darkroom import Darkroom

    renderer: Renderer = Darkroom(settings.engine, settings.pictures.max_megapixels, host)
    if not renderer.devices:  # also imports torch, which must not first be imported by two threads at once
        raise AssertionError("there is always a device")
    with bars() as shown:
        max_batch = settings.engine.max_batch
        line = AssemblyLine(photos, read, deliver, renderer, max_batch=max_batch, shown=shown, room=default_room())
        try:
            for finished in line.run():
                with shown.aside():
                    yield finished
        except GeneratorExit:
            line.stop()
            raise
        except BaseException:
            line.stop()
            with shown.aside():
                yield from line.told()
            raise


class AssemblyLine:
    """Photos through the stages; ``run`` belongs to one thread, which dreams."""

    def __init__(
        self,
        photos: Sequence[Path],
        read: Read,
        deliver: Deliver,
        renderer: Renderer,
        *,
        max_batch: int,
        shown: Bars,
        room: Room,
    ) -> None:
        self._shots = [_Shot(order, photo) for order, photo in enumerate(photos)]
        self._read = read
        self._deliver = deliver
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
        self._publisher = DaemonThreads(1, "publish")

    def run(self) -> Iterator[Finished]:
        """Dream all photos, telling of each when it and those before it are done."""
        for _ in range(min(pool_size(), len(self._shots))):
            self._decoders.submit(self._guarded, self._prepare_all)
        while group := self._next_group():
            key = None if group[0].prepared is None else group[0].prepared.batch_key
            feed = Feed(self._waiting, key, self._max_batch, on_begun=self._begun)
            on_progress = partial(self._progress, feed)
            for index, outcome in self._renderer.dream(
                feed, on_progress=on_progress, should_stop=lambda: self._fault is not None
            ):
                shot = feed.back(index)
                shot.prepared, shot.rendered = None, outcome
                del outcome
                self._encoders.submit(self._guarded, self._finish, shot)
                yield from self.told()
        with self._changed:
            self._changed.wait_for(lambda: self._fault is not None or not self._unfinished)
        self._check()
        yield from self.told()

    def stop(self) -> None:
        """Begin nothing more, and publish what is dreamt already."""
        with self._changed:
            self._is_stopped = True
        self._room.close()
        self._encoders.shutdown()
        self._publisher.submit(self._guarded, self._publish)
        self._publisher.shutdown()

    def told(self) -> Iterator[Finished]:
        """Yield what is finished and was not told of, in the order of the photos; when stopped, without gaps."""
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
                self._prepare(shot)
            except Cancelled:
                return
            except (DeepDreamError, OSError) as error:
                self._settle(shot, _failed(shot.photo, error))
                self._publisher.submit(self._guarded, self._publish)  # one of the same name may have waited for it
            finally:
                with self._changed:
                    self._unprepared -= 1
                    self._changed.notify_all()

    def _prepare(self, shot: _Shot) -> None:
        shot.started = time.monotonic()
        work = shot.work = self._read(shot.photo)
        beside = sum(self._renderer.measure(companion.data) for companion in work.companions.values())
        needed = self._renderer.measure(work.data[0]) + beside
        self._room.take(needed)
        shot.megapixels = needed
        shot.prepared = self._renderer.prepare(work.data.pop(), work.recipe, work.seed, work.companions)
        shot.megapixels = shot.prepared.megapixels + beside
        self._room.resize(needed, shot.megapixels)
        self._waiting.add(shot)

    # In the thread that dreams

    def _next_group(self) -> list[_Shot]:
        """Wait for photos to dream; none when all have been prepared and begun."""
        with self._changed:
            self._changed.wait_for(lambda: self._fault is not None or len(self._waiting) or not self._unprepared)
        self._check()
        return self._waiting.of_oldest()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _begun(self, shot: _Shot) -> None:
        assert shot.work is not None  # read before it was prepared
        shot.bar = self._shown.add(readable(shot.photo.name), shot.work.recipe.name)

    def _progress(self, feed: Feed[_Shot], index: int, fraction: float, detail: str = "") -> None:
        if (shot := feed.progress(index, fraction)) is not None and shot.bar is not None:
            self._shown.update(shot.bar, fraction, detail or None)

    # In the threads that finish

    def _finish(self, shot: _Shot) -> None:
        work, rendered = shot.work, [shot.rendered]
        shot.rendered = None
        assert work is not None  # read before it was dreamt
        try:
            if isinstance(rendered[0], Exception):
                raise rendered[0]
            shot.encoded = self._renderer.finish(rendered.pop(), work.provenance())
        except (DeepDreamError, OSError) as error:
            self._settle(shot, _failed(shot.photo, error))
        else:
            self._let_go(shot)
        self._publisher.submit(self._guarded, self._publish)

    def _publish(self) -> None:
        """Publish what is encoded, except those whose name an earlier photo may still want."""
        wanted: set[str] = set()
        for shot in self._shots[self._told :]:
            if shot.finished is not None:
                continue
            encoded, name = shot.encoded, shot.photo.stem.lower()
            if encoded is None or (name in wanted and not self._is_stopped):
                wanted.add(name)
                continue
            assert shot.work is not None  # read before it was dreamt
            try:
                self._settle(shot, Finished(photo=shot.photo, output=self._deliver(shot.work, encoded)))
            except (DeepDreamError, OSError) as error:
                self._settle(shot, _failed(shot.photo, error))

    def _settle(self, shot: _Shot, finished: Finished) -> None:
        self._let_go(shot)
        shot.encoded = None
        if shot.bar is not None:
            self._shown.finish(shot.bar, "failed" if finished.output is None else "dreamt")
        recipe = "" if shot.work is None else shot.work.recipe.name
        with self._changed:
            shot.finished = replace(finished, recipe=recipe, seconds=time.monotonic() - shot.started)
            self._unfinished -= 1
            self._changed.notify_all()

    def _let_go(self, shot: _Shot) -> None:
        megapixels, shot.megapixels, shot.prepared = shot.megapixels, 0.0, None
        self._room.give(megapixels)

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        """Let a defect in a pool end the whole: otherwise it would wait for ever."""
        try:
            work(*args)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that dreams)
            with self._changed:
                self._fault = self._fault or error
                self._changed.notify_all()


def _failed(photo: Path, error: DeepDreamError | OSError) -> Finished:
    name, message = readable(photo), message_of(error)
    return Finished(photo=photo, error=message if name in message else f"{name}: {message}")

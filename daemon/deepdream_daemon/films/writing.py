"""Frames become a film that is visible only when it is whole, in chunks that outlive a kill.

A run that was killed and goes on makes the same bytes as one that was not: chunks are cut by the number of frames
alone, each is encoded by itself, and the production's state after its last frame lies beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from deepdream_daemon.failpoints import hit
from deepdream_daemon.films import rotation
from deepdream_daemon.films.assembling import assemble
from deepdream_daemon.films.choosing import choose_encoding, identity_of
from deepdream_daemon.films.chunks import CHUNK_FRAMES, ResumePoint, Spool
from deepdream_daemon.films.encoders import ANIMATIONS, SUFFIXES
from deepdream_daemon.films.encoding import ChunkEncoder
from deepdream_daemon.films.frames import FilmFacts, Frame, levels
from deepdream_daemon.films.options import FilmOptions, container_for
from deepdream_daemon.films.states import State, held
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine.errors import BadPicture

if TYPE_CHECKING:
    from deepdream_daemon.films.clipping import ClipFile

_WAITING_FRAMES = 3
"""Handed over, and not encoded yet: each may be a dream and what it began with."""
_TURNABLE = ("mp4", "mov")


class FilmWriter:
    """Writes the film that will be called ``target`` into its spool; a context manager. What is finished is kept.

    ``identity`` is a text of all that decides what the frames are; chunks of another one are not gone on with.
    ``notes`` tells, once it is finished, what differs from what was asked for. ``on_written`` is told, in the thread
    that writes, whenever there is room for a frame again.
    """

    def __init__(
        self,
        target: Path,
        facts: FilmFacts,
        options: FilmOptions,
        spool: Spool,
        *,
        audio_from: Path | ClipFile | None = None,
        identity: str = "",
        provenance: Mapping[str, object] | None = None,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        """Choose the encoder, and find what the spool has; raises :class:`BadOption` for what cannot be written."""
        self.notes: list[str] = []
        self.container = container_for(options, facts, target)
        self._facts = facts
        self._options = options
        self._spool = spool
        self._audio_from = audio_from
        self._provenance = provenance
        self._on_written = on_written
        self._rotation = facts.rotation if self.container in _TURNABLE else 0
        is_sideways = self._rotation in (90, 270)
        self._encoding = choose_encoding(facts, options, self.container, self.notes, is_sideways=is_sideways)
        self._identity = identity_of(identity, facts, self._encoding)
        self._point: ResumePoint | None = None
        self._frames, self._last_tick = 0, -1
        self._open()
        self._chunk: ChunkEncoder | None = None
        self._in_chunk = 0
        # What it does is in order, and beside the dreaming.
        self._pool = ThreadPoolExecutor(1, "film", initializer=TorchThreads(None).stand_back)
        self._waiting: deque[Future[None]] = deque()
        self._has_failed = False

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the chunk that is open, once the frames that were handed over are in theirs."""
        self._pool.shutdown(wait=True)
        if self._chunk is not None:
            self._chunk.abandon()
            self._chunk = None

    @property
    def frames(self) -> int:
        """How many frames it has been given, those of an earlier run included."""
        return self._frames

    def begin_anew(self) -> None:
        """Forget what an earlier run got to. Before the first frame only."""
        self._spool.clear()
        self._open()

    def resume_point(self) -> ResumePoint | None:
        """Return where an earlier run got to, or ``None`` if there is nothing of this film."""
        return self._point

    def write(self, frame: Frame | Callable[[], Frame], state: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Add a frame, or what makes it, which is asked beside the dreaming. ``state`` returns what the production
        needs to go on after it, and is asked at a chunk's end. Waits for room, see :meth:`has_room`.

        Errors of making and encoding it come at a later call, or at :meth:`end`.
        """
        while not self.has_room():
            self._waiting.popleft().result()
        number = self._frames
        self._frames += 1
        self._in_chunk += 1
        self._do(partial(self._encode, frame if callable(frame) else lambda: frame, number))
        if self._in_chunk == CHUNK_FRAMES:
            now = held(state())
            self._do(lambda: self._close_chunk(now))
            self._in_chunk = 0

    def has_room(self) -> bool:
        """Tell whether a frame can be added at once; raises what went wrong with earlier ones."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        return len(self._waiting) < _WAITING_FRAMES

    def settle(self) -> None:
        """Wait until what was handed over is written; raises what went wrong with that."""
        while self._waiting:
            self._waiting.popleft().result()

    def end(self, state: Mapping[str, Any] | None = None) -> None:
        """There are no more frames: put the last chunk away, with ``state`` beside it."""
        if not self._frames:
            raise BadPicture("the film has no frames: nothing was written.")
        if self._in_chunk:
            last = held(state or {})
            self._do(lambda: self._close_chunk(last, is_whole=True))
            self._in_chunk = 0
        self.settle()

    def assembled(self) -> Path:
        """Return the whole film, in the spool's folder; the chunks stay."""
        self.end()
        suffix = SUFFIXES[self.container]
        temp, whole = self._spool.folder / f"film.part{suffix}", self._spool.folder / f"film{suffix}"
        self._assemble(temp)
        temp.replace(whole)
        hit("film.assembled")
        return whole

    def _open(self) -> None:
        self._point = self._spool.open(self._identity)
        self._frames = self._point.frames if self._point else 0
        self._last_tick = self._spool.chunks[-1].ticks[-1] if self._spool.chunks else -1

    def _times(self, frame: Frame, number: int) -> tuple[int, int]:
        tick = round(frame.pts / self._encoding.time_base)
        if tick <= self._last_tick:
            raise BadPicture(
                f"frame {number} is shown at {float(frame.pts):.4f} s, not after the one before it: the times of "
                "a film must rise. Give it new ones: ffmpeg -i CLIP -vf setpts=N/FRAME_RATE/TB NEW"
            )
        self._last_tick = tick
        return tick, max(1, round((frame.pts + frame.duration) / self._encoding.time_base) - tick)

    def _do(self, work: Callable[[], None]) -> None:
        self._waiting.append(self._pool.submit(self._unless_failed, work))
        self._waiting[-1].add_done_callback(lambda _: self._on_written())

    def _unless_failed(self, work: Callable[[], None]) -> None:
        """A chunk in which a frame is missing must not count."""
        if self._has_failed:
            return
        try:
            work()
        except BaseException:
            self._has_failed = True
            raise

    def _encode(self, make: Callable[[], Frame], number: int) -> None:
        frame = make()
        tick, duration = self._times(frame, number)
        pixels = levels(frame, bits=self._encoding.bits, with_alpha=self._encoding.has_alpha)
        height, width = pixels.shape[:2]
        if (width, height) != (self._facts.width, self._facts.height):
            raise BadPicture(
                f"frame {number} is of {width} x {height} pixels in a film of "
                f"{self._facts.width} x {self._facts.height}: all must have one size."
            )
        turned = rotation.stored(pixels, self._rotation)
        if self._chunk is None:
            path = self._spool.next_path(self._encoding.suffix)
            self._chunk = ChunkEncoder(path, self._encoding, turned.shape[1], turned.shape[0])
        self._chunk.lost += frame.is_lost
        if self.container in ANIMATIONS or self._facts.is_variable:
            self._chunk.add(turned, tick, duration)
            return
        for place in range(duration):  # players do not agree on how long the last one stays
            self._chunk.add(turned, tick + place, 1)
        self._last_tick = tick + duration - 1

    def _close_chunk(self, state: State, *, is_whole: bool = False) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            raise RuntimeError("a chunk is closed after its frames")
        chunk.close()
        path = self._spool.next_path(self._encoding.suffix)
        self._spool.commit(path, chunk.ticks, chunk.durations, state, lost=chunk.lost, is_whole=is_whole)

    def _assemble(self, temp: Path) -> None:
        provenance = self._provenance
        if lost := sum(chunk.lost for chunk in self._spool.chunks):
            what = "1 frame" if lost == 1 else f"{lost} frames"
            self.notes.append(f"{what} of the clip cannot be decoded: the one before is shown instead")
            provenance = None if provenance is None else {**provenance, "lost_frames": lost}
        self.notes += assemble(
            self._spool.chunks,
            temp,
            container=self.container,
            facts=self._facts,
            options=self._options,
            encoding=self._encoding,
            audio_from=self._audio_from,
            rotated=self._rotation,
            provenance=provenance,
        )

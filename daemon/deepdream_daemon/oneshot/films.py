"""A film that is asked for once: a clip, the journey of a photo or its ascent, made as the daemon makes it.

Its frames are jobs among others in the engine's one stream, so that several films, and photos beside them, share
passes. They are encoded into chunks in the state folder, where one that was stopped goes on, until the whole film
becomes visible in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.oneshot.clips import NamedClip, is_clip
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.oneshot.pieces import FilmFacts, Made, Pace, Reads, Share
from deepdream_daemon.oneshot.target import UnwritableTarget
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_daemon.pipeline.film_shares import frames_kept
from deepdream_daemon.pipeline.filming import FOLDER, FRAMES_IN_MEMORY, parts_of, remove_spool
from deepdream_daemon.pipeline.rendering import Prepared, Renderer
from deepdream_daemon.private import make_private
from deepdream_daemon.publishing.publish import discard, reveal
from deepdream_daemon.publishing.streaming import stage_stream
from deepdream_engine import __version__

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm


class Spools:
    """Where unfinished films lie, each in a folder that is called after all that decides what its frames are.

    To be shared by the films of one command: of clips that are the same, each has a folder of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self._state = settings.state
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.limit_bytes = round(settings.films_gib * 2**30)

    def take(self, identity: str) -> Path:
        """Return the folder of a film, which is not made here."""
        name = hashlib.sha256(identity.encode()).hexdigest()[:24]
        with self._lock:
            self._taken[name] += 1
            number = self._taken[name]
        return self._state / FOLDER / (name if number == 1 else f"{name}-{number}")

    def make(self) -> None:
        """Make the state folder, which others may not look into."""
        make_private(self._state)


Target = Callable[[Work, Any], Path]
"""``target(work, prepared)``: where a film goes; raises ``BadOption`` for a name that does not suit it."""


class Film:
    """Implements ``pieces.Piece``. ``reads`` reads ``source``, and keeps it unless it is a clip. ``name`` may end
    with what says which container the film is to have, if its recipe does not."""

    is_film = True

    def __init__(
        self,
        source: Path,
        reads: Reads,
        target: Target,
        spools: Spools,
        *,
        name: str = "film",
        clip: bool | None = None,
    ) -> None:
        self.source = source
        self.is_clip = is_clip(source) if clip is None else clip
        self._reads = reads
        self._target_of = target
        self._spools = spools
        self._name = name
        self._clip: NamedClip | None = None
        self._spool: Path | None = None
        self._target: Path | None = None

    @property
    def frames_kept(self) -> int:
        """How many frames of it the next time begins with, if it does not become whole now."""
        return 0 if self._spool is None else frames_kept(self._spool)

    def read(self) -> Work:
        """Read it; of a clip, note what it looks like before."""
        self._clip = NamedClip.of(self.source) if self.is_clip else None
        return self._reads(self.source, not self.is_clip)

    def prepare(self, work: Work, renderer: Renderer, share: Share) -> Prepared:
        """Look whether the film can be made and where it goes, and take room in memory for its frames."""
        identity, limit_bytes = _identity(work), self._spools.limit_bytes
        self._spool = spool = self._spools.take(identity)
        order = FilmOrder(spool=spool, limit_bytes=limit_bytes, identity=identity, clip=self._clip, name=self._name)
        photo = None if self._clip is not None else work.data.pop()
        if photo is not None:
            share.take(FRAMES_IN_MEMORY * renderer.measure(photo))
        prepared: PreparedFilm = renderer.prepare_film(order, photo, work.recipe, work.seed, work.companions)  # type: ignore[assignment]  # the darkroom's
        if photo is None:
            share.take(FRAMES_IN_MEMORY * prepared.megapixels)
        self._target = self._target_of(work, prepared)
        self._spools.make()
        return prepared

    def finish(self, work: Work, renderer: Renderer, rendered: list[Any], pace: Pace) -> Made:
        """Put it together from its chunks, with its sound."""
        film: RenderedFilm = rendered.pop()
        file = renderer.finish_film(film, work.provenance())
        facts = FilmFacts(
            frames=film.frames,
            resumed_at=film.resumed_at,
            rate=(film.frames - film.resumed_at) / pace.seconds,
            busy_share=min(1.0, pace.busy_seconds / pace.seconds),
            notes=file.notes,
        )
        return Made(lambda: self._put(file), facts)

    def _put(self, file: FilmFile) -> Path:
        """Publish the whole film under its name, or the next free one, and forget what is kept of it."""
        assert self._target is not None  # it is prepared
        assert self._spool is not None
        directory = self._target.parent
        try:
            staged = stage_stream(directory, directory, parts_of(file.path), f"film{os.getpid()}")
            try:
                path = reveal(staged, self._target.name, lambda _: True)
            finally:
                discard(staged)
        except OSError as error:
            raise UnwritableTarget(directory, error) from error
        remove_spool(self._spool)
        return path


def _identity(work: Work) -> str:
    """Return all that decides what the frames are, except for how they are written."""
    digests = {name: companion.to_dict() for name, companion in work.companions.items()}
    return json.dumps([__version__, work.sha256, work.recipe.fingerprint(), work.seed, digests], sort_keys=True)

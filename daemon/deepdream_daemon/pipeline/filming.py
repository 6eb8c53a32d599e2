"""Films outside the engine: what is asked for before their slice, and how the finished one is published.

Nothing of a film is in memory as a whole: it lies in its *spool*, a folder in the state folder that is called after the
job, until it is published.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.film_orders import ClipOrder, FilmFile, FilmOrder
from deepdream_daemon.pipeline.film_shares import no_room, older_bytes, size_of, spool_name
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import FOR_MEMORY, Task

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

log = structlog.get_logger("deepdream")

FOLDER = "films"
"""Of the spools, in the state folder."""
FRAMES_IN_MEMORY = 4
"""As many frames as a film keeps at once, beside what the engine does with them."""
_PART_BYTES = 1 << 20


class Filming:
    """Used by the stages, in any thread; ``state`` is the daemon's state folder."""

    def __init__(self, state: Path, limit_bytes: int, *, renderer: Renderer, room: Room) -> None:
        self._state = state
        self._limit_bytes = limit_bytes
        self._renderer = renderer
        self._room = room

    def develop(
        self,
        task: Task,
        recipe: ResolvedRecipe,
        data: list[bytes],
        companions: Mapping[str, Companion],
        *,
        is_clip: bool,
    ) -> None:
        """Look whether the film can be made, and take room in memory for its frames; ``data`` is given away."""
        clip = None
        if is_clip:
            stamp = task.fingerprint.partition("+")[0].partition(";")[0]
            clip = ClipOrder(path=task.claim.source, root=task.claim.folder, stamp=stamp)
        (self._state / FOLDER).mkdir(mode=0o700, exist_ok=True)
        spool = spool_of(self._state, task.claim.id, task.claim.key)
        self._check_room(spool)
        order = FilmOrder(
            spool=spool,
            limit_bytes=self._limit_bytes,
            identity=task.claim.key,
            clip=clip,
        )
        photo = None if is_clip else data.pop()
        data.clear()
        if photo is not None:
            self._take_room(task, self._renderer.measure(photo))
        task.stage = "decoding"
        prepared = self._renderer.prepare_film(order, photo, recipe, task.seed, companions)
        del photo
        if is_clip:
            self._take_room(task, prepared.megapixels)
        task.prepared = prepared
        hit("develop.prepared")

    def finished(self, rendered: list[object], provenance: Mapping[str, object]) -> FilmFile:
        """Return the whole film in ``rendered``, which is given away."""
        film = self._renderer.finish_film(rendered.pop(), provenance)
        for note in film.notes:
            log.info("a film differs from what was asked for", job=str(provenance.get("job", "")), note=note)
        hit("finish.encoded")
        return film

    def forget(self, task: Task) -> None:
        """Remove what was kept of a film that is published."""
        remove_spool(spool_of(self._state, task.claim.id, task.claim.key))

    def _check_room(self, spool: Path) -> None:
        """Raise the ``OSError`` of a film that has to wait until an older one is done. If what there is of it leaves
        that no room, it gives it up."""
        older, own = older_bytes(spool), size_of(spool)
        if older and older + own >= self._limit_bytes:
            remove_spool(spool)
            raise no_room()

    def _take_room(self, task: Task, megapixels: float) -> None:
        task.stage = FOR_MEMORY
        self._room.take(FRAMES_IN_MEMORY * megapixels)
        task.megapixels = FRAMES_IN_MEMORY * megapixels


def spool_of(state: Path, job: int, key: str) -> Path:
    """Return where the film of a job lies while it is made."""
    return state / FOLDER / spool_name(job, key)


def remove_spool(spool: Path) -> None:
    """Remove an unfinished film, or one that is published."""
    for folder in (spool, spool.with_name(f"{spool.name}-kept")):
        shutil.rmtree(folder, ignore_errors=True)


def parts_of(path: Path) -> Callable[[Callable[[bytes], object]], None]:
    """Return what hands a file on part by part, see ``streaming.stage_stream``."""

    def write_parts(write: Callable[[bytes], object]) -> None:
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                write(part)

    return write_parts

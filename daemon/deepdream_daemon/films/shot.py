"""A film under way: its frames become jobs, their dreams become frames, and what is finished lies in its spool.

Whoever dreams sees to the jobs; what a kill, or the end of a slice, leaves is gone on with the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.films.chunks import CHUNK_FRAMES, Spool
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.options import FilmOptions
from deepdream_daemon.films.scenes import Compose, Scene
from deepdream_daemon.films.writing import FilmWriter
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.records import DreamJob


def kept_folder(spool: Path) -> Path:
    """Return where the frames of the film in the folder ``spool`` lie that it needs once more."""
    return spool.with_name(f"{spool.name}-kept")


class Shot:
    """Opens the spool ``folder``, of up to ``limit_bytes``, and goes on with what is in it; :meth:`close` it.

    ``identity`` is all that decides what the frames are; ``made`` is what made them. ``on_written`` is told, in another
    thread, whenever :meth:`write` may be able to go on.
    """

    def __init__(
        self,
        compose: Compose,
        *,
        folder: Path,
        limit_bytes: int,
        target: Path,
        options: FilmOptions,
        identity: str,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self.made: dict[str, Any] = {}
        self.kept = FrameFolder(kept_folder(folder), limit_bytes)
        with ExitStack() as opened:
            self._spool = opened.enter_context(Spool(folder, limit_bytes))
            self.scene: Scene = compose(self.kept)
            opened.callback(self.scene.close)
            self.writer = opened.enter_context(
                FilmWriter(
                    target,
                    self.scene.facts,
                    options,
                    self._spool,
                    audio_from=self.scene.audio_from,
                    identity=identity,
                    on_written=on_written,
                )
            )
            point = self.writer.resume_point()
            if point is not None and not point.is_whole and not self.scene.can_resume(point.state):
                self.writer.begin_anew()
                point = None
            self.resumed_at = self.writer.frames
            self._is_whole = point is not None and point.is_whole
            if point is None:
                self.kept.remove()  # of a run that did not get as far as its first chunk
            else:
                self.made.update(point.state.get("made", {}))
                if not self._is_whole:
                    self.scene.production.resume(point.state)
            self._opened = opened.pop_all()

    @property
    def is_done(self) -> bool:
        """Whether all frames are written."""
        return self._is_whole or self.scene.production.done

    @property
    def frames(self) -> int:
        """How many frames are written."""
        return self.writer.frames

    @property
    def stills(self) -> int:
        """How many it will have."""
        return self.scene.production.stills

    @property
    def words(self) -> str:
        """Which frame it is at."""
        return f"frame {min(self.frames + 1, self.stills)} of {self.stills}"

    def fraction(self, of_frame: float = 0.0) -> float:
        """Return how much is done, in [0, 1], if ``of_frame`` is of a frame in flight."""
        if self._is_whole:
            return 1.0
        return min(1.0, self.scene.production.fraction + of_frame / self.scene.dreams)

    def next_job(self) -> tuple[int, ResolvedRecipe, DreamJob] | None:
        """Return a job with its number and recipe; ``None`` if there is none before one in flight is done, or a frame
        is read or written."""
        if self.is_done or not self.writer.has_room():
            return None
        asked = self.scene.production.next_job()
        return None if asked is None else (asked[0], self.scene.recipe_of(asked[0]), asked[1])

    def receive(self, number: int, pixels: Tensor, made_by: Mapping[str, Any]) -> None:
        """Take in the dream of job ``number``."""
        self.made.update(made_by)
        self.scene.production.receive(number, pixels)

    def write(self, gives_way: Callable[[], bool] = lambda: False) -> bool:
        """Write the frames that are final, as far as there is room for them. ``gives_way`` is asked at the end of each
        chunk; if it says so, tell that nothing more is to be done for the film now, but to :meth:`settle`.

        A film of one dream does not give way, since that would begin again, and waits for room, since frames come from
        it all the time."""
        production, has_pauses = self.scene.production, self.scene.dreams > 1
        while not self._is_whole and (not has_pauses or self.writer.has_room()):
            still = production.next_still()
            if still is None:
                break
            self.writer.write(partial(self.scene.shown, still), self._state)
            is_chunk_whole = self.writer.frames % CHUNK_FRAMES == 0
            if is_chunk_whole and not production.done and has_pauses and gives_way():
                return True
        return False

    def settle(self) -> None:
        """Wait until what there is of it is on the disk."""
        self.writer.settle()

    def end(self) -> None:
        """All frames are written: look whether they may be shown, and put them away for good."""
        self.scene.check()
        self.writer.end({"made": dict(self.made)})

    def close(self) -> None:
        """Let go of it; what is finished stays in its spool."""
        self._opened.close()

    def failed(self, number: int, error: DeepDreamError) -> DeepDreamError:
        """Return the error with the frame that it happened in; its kind decides what becomes of it."""
        if self.scene.dreams == 1:
            return error
        frame = number % self.stills + 1
        if type(error) not in (BadOption, DeepDreamError):
            error.add_note(f"in frame {frame}")
            return error
        return type(error)(f"frame {frame}: {error}")

    def _state(self) -> dict[str, Any]:
        return {**self.scene.production.state(), "made": dict(self.made)}


def made_by(dream: Any, device: str) -> dict[str, Any]:
    """Return what a film tells of what its frames were dreamt with, in the thread that has done so."""
    import torch

    return {
        "num_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "weights_sha256": dream.weights_sha256,
        "device": device,
        "tile_px": dream.tile_px,
        "precision": dream.precision,
    }

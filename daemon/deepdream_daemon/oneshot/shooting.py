"""A film made in this process: whatever it is made of, its frames are dreamt, shown and written, and one that was
stopped goes on.

Frames are dreamt by the thread that asks. They are encoded beside it, into chunks in the state folder, until the whole
film becomes visible in one step.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.scenes import Compose, film_options
from deepdream_daemon.films.shot import Shot, made_by
from deepdream_daemon.oneshot.once import Work
from deepdream_daemon.pipeline.darkroom import Darkroom, PreparedPicture, RenderedPicture
from deepdream_daemon.pipeline.time_left import TimeLeft, words
from deepdream_daemon.private import make_private
from deepdream_daemon.terminal.messages import readable
from deepdream_daemon.terminal.progress import Bars
from deepdream_engine import __version__
from deepdream_engine.errors import DeepDreamError
from deepdream_engine.pictures import Picture

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

FILMS = "films"
"""The folder of unfinished films in the state folder."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished film: where it is, how many frames it has and how many of them an earlier run had made.

    ``rate`` is how many frames were dreamt in a second, ``busy_share`` the part of the time in which the device
    computed; ``notes`` tell what differs from what was asked for.
    """

    path: Path
    frames: int
    resumed_at: int
    rate: float
    busy_share: float
    notes: tuple[str, ...]


def make_film(work: Work, target: Path, compose: Compose, *, settings: Settings, host: PluginHost, shown: Bars) -> Film:
    """Make the film of ``work`` and publish it as ``target``, or under the next free name."""
    options = film_options(work.recipe)
    darkroom = Darkroom(settings.engine, settings.pictures.max_megapixels, host)
    make_private(settings.state)
    identity = _identity(work)
    folder = settings.state / FILMS / hashlib.sha256(identity.encode()).hexdigest()[:24]
    made: dict[str, Any] = {}
    begun = time.monotonic()
    shot = Shot(
        compose,
        folder=folder,
        limit_bytes=round(settings.films_gib * 2**30),
        target=target,
        options=options,
        identity=identity,
        provenance=_provenance(work, made),
        made=made,
    )
    try:
        if not shot.is_done:
            _shoot(work, shot, darkroom=darkroom, shown=shown)
        shot.end()
        seconds = time.monotonic() - begun
        path = shot.writer.finish()
        film = Film(
            path=path,
            frames=shot.frames,
            resumed_at=shot.resumed_at,
            rate=(shot.frames - shot.resumed_at) / seconds,
            busy_share=min(1.0, darkroom.busy_seconds / seconds),
            notes=tuple(shot.writer.notes),
        )
    finally:
        shot.close()
    shutil.rmtree(folder, ignore_errors=True)
    shot.kept.remove()
    return film


def _shoot(work: Work, shot: Shot, *, darkroom: Darkroom, shown: Bars) -> None:
    """Dream and write all frames that are left."""
    bar, time_left = shown.add(readable(work.photo.name), work.recipe.name), TimeLeft()

    def on_progress(_: int, fraction: float, _detail: str = "") -> None:
        done = shot.fraction(fraction)
        left = time_left.seconds(done)
        about = "" if left is None else f", about {words(left)} left"
        shown.update(bar, done, f"frame {min(shot.frames + 1, shot.stills)} of {shot.stills}{about}")
        shot.write()  # frames may be there before their dream is

    shot.write()  # what is shown once more needs no dream
    numbers: list[int] = []
    jobs = _jobs(shot, numbers)
    for index, outcome in darkroom.dream(jobs, on_progress=on_progress, should_stop=lambda: False):
        number = numbers[index]
        if isinstance(outcome, DeepDreamError):
            raise shot.failed(number, outcome)
        assert isinstance(outcome, RenderedPicture)  # that is all that was asked for
        shot.receive(number, outcome.dream.pixels, made_by(outcome.dream, outcome.device))
        shot.write()
    shown.finish(bar, f"{shot.frames} frames dreamt")


def _jobs(shot: Shot, numbers: list[int]) -> Iterator[PreparedPicture | None]:
    """Yield the jobs that are there, noting their ``numbers``."""
    import numpy as np

    nothing = Picture(pixels=np.empty((0, 0, 3), np.float32), format="PNG")
    while not shot.is_done:
        asked = shot.next_job()
        if asked is None:
            yield None
            continue
        number, recipe, job = asked
        numbers.append(number)
        yield PreparedPicture(picture=nothing, recipe=recipe, job=job)


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

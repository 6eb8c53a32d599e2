"""Several different pictures of one class or channel, each unlike those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.studio import ATTEMPTS, Studio, Subject, seed_of, sees_nothing
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.pictures import decode
from deepdream_engine.records import Dream, DreamJob

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = (0.3, 0.15, 0.07, 0.0)
"""How much a picture is to be unlike the others: the first with which it is still of the same thing."""
_STILL = 0.7
"""It is if it excites that so much as the first picture does."""


def portraits(
    studio: Studio,
    subject: Subject,
    count: int,
    folder: OwnFolder,
    *,
    score: Callable[[Tensor], float],
    on_progress: Callable[[float], None],
) -> list[str]:
    """Draw ``count`` pictures of ``subject`` into ``folder``, except those that are there; return their names.

    ``score`` is how much a picture ``(3, H, W)`` excites the subject; ``on_progress`` is told how many are done.
    """
    names = [f"pictures/{number + 1}.jpg" for number in range(count)]
    earlier: list[Tensor] = []
    for number, name in enumerate(names):
        path = folder.path / name
        if not path.exists():
            seed = seed_of(str(folder.data["identity"]), subject, number)

            def progress(_: int, fraction: float, number: int = number) -> None:
                on_progress(number + fraction)

            def draw(job: DreamJob, progress: Callable[[int, float], None] = progress) -> Dream:
                return _another(studio, job, earlier, score, progress) if earlier else _drawn(studio, job, progress)

            dream, attempt = _seen(studio, subject, seed, draw)
            data = studio.encoded(dream.pixels, studio.recipe(subject, attempt), seed, dream.weights_sha256)
            folder.write(name, data)
        earlier.append(load(path.read_bytes()))  # of the file, so that one that was there already is the same
        on_progress(number + 1)
    return names


def load(data: bytes) -> Tensor:
    """Return the pixels ``(3, H, W)`` of a picture's file."""
    import torch

    return torch.from_numpy(decode(data).pixels).permute(2, 0, 1).contiguous()


def _seen(studio: Studio, subject: Subject, seed: int, draw: Callable[[DreamJob], Dream]) -> tuple[Dream, int]:
    """Return what ``draw`` makes of the first noise that the subject sees something in, and which that is."""
    attempt = 0
    while True:
        try:
            return draw(studio.job(subject, seed, attempt)), attempt
        except BadOption as error:
            if not sees_nothing(error) or attempt + 1 == ATTEMPTS:
                raise
        attempt += 1


def _another(
    studio: Studio,
    job: DreamJob,
    earlier: Sequence[Tensor],
    score: Callable[[Tensor], float],
    progress: Callable[[int, float], None],
) -> Dream:
    """Return a picture that is as unlike the ``earlier`` ones as the subject allows."""
    from deepdream_engine.microscope.diversity import BEFORE, unlike

    guides = {f"{BEFORE} {index}": picture for index, picture in enumerate(earlier)}
    blank = score(job.pixels)
    least = blank + _STILL * (score(earlier[0]) - blank)
    for weight in _WEIGHTS:
        objective = job.program.objective
        if weight:
            objective = unlike(objective, studio.spec.default_tap, weight)
        dream = _drawn(studio, replace(job, program=replace(job.program, objective=objective), guides=guides), progress)
        if score(dream.pixels) >= least:
            break
    return dream


def _drawn(studio: Studio, job: DreamJob, progress: Callable[[int, float], None]) -> Dream:
    ((_, outcome),) = studio.dream(iter((job,)), progress)
    if isinstance(outcome, DeepDreamError):
        raise outcome
    return outcome

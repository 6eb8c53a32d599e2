"""Dreaming named photos once, without a daemon or a journal, by the same renderer, seeds and publisher.

A :class:`Work` is one photo with all that decides what its dream looks like.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.advice import shell_path
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.intake.sources import side_file
from deepdream_daemon.terminal.messages import message_of, readable
from deepdream_daemon.terminal.progress import bars
from deepdream_engine.errors import BadPicture, DeepDreamError
from deepdream_plugins.recipes import RecipeBook, parse_set
from deepdream_plugins.resolved import ResolvedRecipe
from deepdream_plugins.toml_source import TomlSource, dotted

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.rendering import Encoded, Renderer

BATCH_MEGAPIXELS = 32.0
"""How much is kept decoded at once; a larger picture comes alone."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A photo, read, with its recipe and seed."""

    photo: Path
    data: bytes
    sha256: str
    recipe: ResolvedRecipe
    seed: int


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What became of a photo: its dream and where it was published, or why there is none."""

    photo: Path
    dream: Encoded | None = None
    output: Path | None = None
    error: str = ""


Deliver = Callable[[Work, "Encoded"], Path]
"""Publishes a dream and returns where; raises a :class:`DeepDreamError` or an ``OSError`` of that photo alone."""


def check_changes(book: RecipeBook, photos: Sequence[Path], recipe: str | None, changes: Sequence[str]) -> None:
    """Raise what is wrong with the named recipe or ``--set`` for every photo, so that it is said once.

    A side file may name another model or objective, so that only it shows whether options of the objective suit.
    """
    overrides = settings_of(changes)
    if any(os.path.lexists(side_file(photo)) for photo in photos):
        overrides = [override for override in overrides if "objective" not in override[0]]
    book.resolve(recipe or "classic", overrides)


def choose(book: RecipeBook, photo: Path, recipe: str | None, changes: Sequence[str]) -> ResolvedRecipe:
    """Return the recipe for ``photo``: the named one, under what its side file says, under ``--set``."""
    overrides: list[tuple[Mapping[str, Any], Callable[..., str]]] = []
    side = side_file(photo)
    if side.is_file():
        source = TomlSource.read(side)
        # A recipe that was asked for by name is not exchanged for the side file's.
        kept = {key: value for key, value in source.data.items() if recipe is None or key != "base"}
        overrides.append((kept, source.where))
    overrides += settings_of(changes)
    return book.resolve(recipe or "classic", overrides)


def settings_of(changes: Sequence[str]) -> list[tuple[Mapping[str, Any], Callable[..., str]]]:
    """Return the ``--set`` arguments as overrides of a recipe."""
    return [(parse_set(change), lambda *keys: f"--set {dotted(*keys)}") for change in changes]


def look_at(photo: Path) -> None:
    """Raise what keeps ``photo`` from being read, before its side file, which may not even be there, is asked for."""
    try:
        mode = photo.stat().st_mode
    except PermissionError as error:
        raise _forbidden(photo, error) from error
    if stat.S_ISDIR(mode):
        raise BadPicture("this is a folder. Name the pictures in it; to watch a folder: deepdream init.")
    if not stat.S_ISREG(mode):
        raise BadPicture("this is not a regular file.")


def _forbidden(photo: Path, error: OSError) -> BadPicture:
    """Name what forbids it: a folder above the photo that may not be entered, or the photo itself."""
    closed = next((folder for folder in reversed(photo.parents) if not os.access(folder, os.X_OK)), None)
    what, mode = (photo, "u+r") if closed is None else (closed, "u+x")
    return BadPicture(f"{str(photo)!r}: {error.strerror}. Allow it: chmod {mode} {shell_path(what)}")


def read_work(photo: Path, recipe: ResolvedRecipe, max_megapixels: float, seed: int | None = None) -> Work:
    """Read ``photo``; a link is followed, since somebody has named it."""
    from deepdream_daemon.intake import sources
    from deepdream_daemon.intake.selection import derive_seed

    try:
        source = sources.read(photo.resolve(), sources.limit_bytes(max_megapixels), keep=True)
    except sources.Changed as error:
        raise BadPicture(f"{error}. Try again when it is whole.") from error
    except PermissionError as error:
        raise _forbidden(photo, error) from error
    assert source.data is not None  # because of keep
    chosen = derive_seed(source.sha256, recipe) if seed is None else seed
    return Work(photo=photo, data=source.data, sha256=source.sha256, recipe=recipe, seed=chosen)


def dream_all(
    photos: Sequence[Path], read: Callable[[Path], Work], deliver: Deliver, settings: Settings
) -> Iterator[Finished]:
    """Yield what became of each photo; neighbours that may share a batch are dreamt together.

    Each dream is published as soon as it is there, so that being stopped costs only those that are not.
    """
    from deepdream_daemon.pipeline.darkroom import Darkroom

    renderer: Renderer = Darkroom(settings.engine, settings.max_megapixels)
    batch: list[tuple[Work, Any]] = []
    for photo in photos:
        try:
            work = read(photo)
            prepared = renderer.prepare(work.data, work.recipe, work.seed)
        except (DeepDreamError, OSError) as error:
            yield _failed(photo, error)
            continue
        if batch and not _fits(prepared, [other for _, other in batch], settings.engine.max_batch):
            yield from _dream_batch(renderer, batch, deliver)
            batch = []
        batch.append((work, prepared))
    if batch:
        yield from _dream_batch(renderer, batch, deliver)


def _fits(prepared: Any, batch: Sequence[Any], max_batch: int) -> bool:
    megapixels = prepared.megapixels + sum(other.megapixels for other in batch)
    return bool(prepared.batch_key == batch[0].batch_key and len(batch) < max_batch and megapixels <= BATCH_MEGAPIXELS)


def _dream_batch(renderer: Renderer, batch: Sequence[tuple[Work, Any]], deliver: Deliver) -> Iterator[Finished]:
    """Dream and publish one batch under its progress bars; it is told of when the bars have stopped."""
    results: list[Finished] = []
    try:
        _dream_into(results, renderer, batch, deliver)
    except BaseException:
        yield from results  # what was published before Ctrl-C stays, so it is told of
        raise
    yield from results


def _dream_into(
    results: list[Finished], renderer: Renderer, batch: Sequence[tuple[Work, Any]], deliver: Deliver
) -> None:
    with bars() as shown:
        numbers = [shown.add(readable(work.photo.name), work.recipe.name) for work, _ in batch]
        outcomes = renderer.dream(
            [prepared for _, prepared in batch],
            on_progress=lambda index, fraction: shown.update(numbers[index], fraction),
            should_stop=lambda: False,  # it runs in this thread, which Ctrl-C interrupts
        )
        for index, outcome in outcomes:
            work = batch[index][0]
            try:
                if isinstance(outcome, DeepDreamError):
                    raise outcome
                dream = renderer.finish(outcome, _provenance(work))
                results.append(Finished(photo=work.photo, dream=dream, output=deliver(work, dream)))
                shown.finish(numbers[index], "dreamt")
            except (DeepDreamError, OSError) as error:
                results.append(_failed(work.photo, error))
                shown.finish(numbers[index], "failed")


def _provenance(work: Work) -> dict[str, object]:
    from deepdream_daemon.intake.selection import job_key

    return {
        "source": {"name": work.photo.name, "sha256": work.sha256},
        "job": job_key(work.sha256, work.photo, work.recipe, work.seed),
    }


def _failed(photo: Path, error: DeepDreamError | OSError) -> Finished:
    name, message = readable(photo), message_of(error)
    return Finished(photo=photo, error=message if name in message else f"{name}: {message}")

"""Dreaming named photos once, without a daemon or a journal, by the same renderer, seeds and publisher.

A :class:`Work` is one photo with all that decides what its dream looks like.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.apart import within
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.terminal.messages import message_of, readable
from deepdream_daemon.terminal.progress import bars
from deepdream_engine.errors import BadOption, BadPicture, DeepDreamError
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
    """What became of a photo: its dream, or why there is none."""

    photo: Path
    work: Work | None = None
    dream: Encoded | None = None
    error: str = ""


def choose(book: RecipeBook, photo: Path, recipe: str | None, changes: Sequence[str]) -> ResolvedRecipe:
    """Return the recipe for ``photo``: the named one, under what its side file says, under ``--set``."""
    overrides: list[tuple[Mapping[str, Any], Callable[..., str]]] = []
    side = photo.with_name(f"{photo.name}.toml")
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


def read_work(photo: Path, recipe: ResolvedRecipe, max_megapixels: float, seed: int | None = None) -> Work:
    """Read ``photo``; a link is followed, since somebody has named it."""
    from deepdream_daemon.intake import sources
    from deepdream_daemon.intake.selection import derive_seed

    if photo.is_dir():
        raise BadPicture("this is a folder. Name the pictures in it; to watch a folder: deepdream init.")
    if photo.exists() and not photo.is_file():
        raise BadPicture("this is not a regular file.")
    try:
        source = sources.read(photo.resolve(), sources.limit_bytes(max_megapixels), keep=True)
    except sources.Changed as error:
        raise BadPicture(f"{error}. Try again when it is whole.") from error
    assert source.data is not None  # because of keep
    chosen = derive_seed(source.sha256, recipe) if seed is None else seed
    return Work(photo=photo, data=source.data, sha256=source.sha256, recipe=recipe, seed=chosen)


def check_target(directory: Path, settings: Settings) -> None:
    """Refuse to put a dream into a watched input, where the daemon would dream it again."""
    for folder in settings.folders:
        if within(directory.resolve(), folder.input):
            raise BadOption(
                f"the dream would land in the watched folder {str(folder.input)!r} and be dreamt again. Name another "
                f"folder, such as -o {str(folder.output)!r}."
            )


def dream_all(photos: Sequence[Path], read: Callable[[Path], Work], settings: Settings) -> Iterator[Finished]:
    """Yield what became of each photo; neighbours that may share a batch are dreamt together."""
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
            yield from _dream_batch(renderer, batch)
            batch = []
        batch.append((work, prepared))
    if batch:
        yield from _dream_batch(renderer, batch)


def _fits(prepared: Any, batch: Sequence[Any], max_batch: int) -> bool:
    megapixels = prepared.megapixels + sum(other.megapixels for other in batch)
    return bool(prepared.batch_key == batch[0].batch_key and len(batch) < max_batch and megapixels <= BATCH_MEGAPIXELS)


def _dream_batch(renderer: Renderer, batch: Sequence[tuple[Work, Any]]) -> Iterator[Finished]:
    """Dream one batch under its progress bars; results come when the bars have stopped."""
    results: list[Finished] = []
    stop = threading.Event()
    with bars() as shown:
        numbers = [shown.add(readable(work.photo.name), work.recipe.name) for work, _ in batch]
        outcomes = renderer.dream(
            [prepared for _, prepared in batch],
            on_progress=lambda index, fraction: shown.update(numbers[index], fraction),
            should_stop=stop.is_set,
        )
        try:
            for index, outcome in outcomes:
                work = batch[index][0]
                try:
                    if isinstance(outcome, DeepDreamError):
                        raise outcome
                    dream = renderer.finish(outcome, _provenance(work))
                    results.append(Finished(photo=work.photo, work=work, dream=dream))
                    shown.finish(numbers[index], "dreamt")
                except (DeepDreamError, OSError) as error:
                    results.append(_failed(work.photo, error))
                    shown.finish(numbers[index], "failed")
        finally:
            stop.set()  # after Ctrl-C the engine's thread ends at its next step
    yield from results


def _provenance(work: Work) -> dict[str, object]:
    from deepdream_daemon.intake.selection import job_key

    return {
        "source": {"name": work.photo.name, "sha256": work.sha256},
        "job": job_key(work.sha256, work.photo, work.recipe, work.seed),
    }


def _failed(photo: Path, error: DeepDreamError | OSError) -> Finished:
    name, message = readable(photo), message_of(error)
    return Finished(photo=photo, error=message if name in message else f"{name}: {message}")

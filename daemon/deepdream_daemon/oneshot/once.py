"""Photos named on the command line: each is read, with its recipe, seed and companions.

A :class:`Work` is one photo with all that decides what its dream looks like.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.sources import side_file
from deepdream_engine.errors import BadPicture, DeepDreamError
from deepdream_plugins.recipes import RecipeBook, parse_set
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.toml_source import TomlSource, dotted


@dataclass(frozen=True, kw_only=True)
class Work:
    """A photo, read, with its recipe, seed and companions by name. Whoever decodes it empties ``data``."""

    photo: Path
    data: list[bytes]
    sha256: str
    recipe: ResolvedRecipe
    seed: int
    companions: dict[str, Companion] = field(default_factory=dict)

    def provenance(self) -> dict[str, object]:
        """Return what the dream tells of where it comes from."""
        from deepdream_daemon.intake.selection import job_key

        told: dict[str, object] = {
            "source": {"name": self.photo.name, "sha256": self.sha256},
            "job": job_key(self.sha256, self.photo, self.recipe, self.seed, self.companions),
        }
        if self.companions:
            told["companions"] = {name: companion.to_dict() for name, companion in self.companions.items()}
        return told


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


def is_filmed(book: RecipeBook, photo: Path, recipe: str | None, changes: Sequence[str]) -> bool:
    """Tell whether the dream of ``photo`` is a film of its ascent. What is wrong with it is said when it is dreamt."""
    try:
        return choose(book, photo, recipe, changes).is_ascent_filmed
    except (DeepDreamError, OSError):
        return False


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


def read_work(
    photo: Path,
    recipe: ResolvedRecipe,
    max_megapixels: float,
    *,
    seed: int | None = None,
    places: Mapping[str, Path] | None = None,
    keep: bool = True,
) -> Work:
    """Read ``photo`` and its companions; a link to the photo is followed, since somebody has named it.

    ``places`` tells where the companions are, if they are not to be looked for beside the photo. Without ``keep`` it is
    a clip, of any size, which is read again frame by frame.
    """
    from deepdream_daemon.intake import companions, sources
    from deepdream_daemon.intake.selection import derive_seed

    limit_bytes = sources.limit_bytes(max_megapixels)
    try:
        source = sources.read(photo.resolve(), limit_bytes if keep else sys.maxsize, keep=keep)
        if places is None:
            places = companions.locate(photo, recipe.companions(), recipe.name)
        beside = companions.read(places, limit_bytes, keep=True)
    except sources.Changed as error:
        raise BadPicture(f"{error}. Try again when it is whole.") from error
    except PermissionError as error:
        raise _forbidden(photo, error) from error
    data = [] if source.data is None else [source.data]
    chosen = derive_seed(source.sha256, recipe) if seed is None else seed
    return Work(photo=photo, data=data, sha256=source.sha256, recipe=recipe, seed=chosen, companions=beside)

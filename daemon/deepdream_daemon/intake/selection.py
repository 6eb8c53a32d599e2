"""Which recipe a picture gets, where its dream goes, and the key that makes a job the same job.

A recipe is named by the folder; a plugin may choose another for the picture; a sub-folder that bears a recipe's name is
closer and wins; ``base`` in a side file ``photo.jpg.toml`` is closest. The other keys of a side file override the
recipe's for that picture alone. A recipe may ask for companions, pictures beside the picture.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Container, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon import beneath
from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.intake import companions
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.sources import side_file
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption
from deepdream_plugins.toml_source import TomlSource

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

_LONGEST_SIDE_FILE_BYTES = 65_536


def choose_recipe(
    folder: FolderSettings,
    source: Path,
    book: RecipeBook,
    ask: Callable[[], str | None] = lambda: None,
    *,
    among: Container[str] | None = None,
) -> ResolvedRecipe:
    """Resolve the recipe of the picture at ``source``; what is wrong with its side file is a
    :class:`BadOption`. ``ask`` is asked, once at most, if nothing closer than the folder names a recipe. ``among`` are
    the names of all side files beside it, if they are known.
    """
    beside = side_file(source)
    side = _read_side_file(beside, folder.input) if among is None or beside.name in among else None
    name = _named_by_place(folder, source, book)
    if name is None and (side is None or "base" not in side.data):
        name = ask()
    name = name or folder.recipe
    return _plain(book, name) if side is None else book.resolve(name, [(side.data, side.where)])


def recipe_of_folder(folder: FolderSettings, source: Path, book: RecipeBook) -> str:
    """Return the name of the recipe that the place of ``source`` asks for, whatever its side file and plugins say."""
    return _named_by_place(folder, source, book) or folder.recipe


def _named_by_place(folder: FolderSettings, source: Path, book: RecipeBook) -> str | None:
    names = set(book.names)
    named = [part for part in source.relative_to(folder.input).parent.parts if part in names]
    return named[-1] if named else None


def choose_companions(
    source: Path,
    recipe: ResolvedRecipe,
    limit_bytes: int,
    *,
    keep: bool = False,
    root: Path | None = None,
    among: Container[str] | None = None,
) -> dict[str, Companion]:
    """Read the companions of the picture at ``source`` that ``recipe`` uses, with their bytes if ``keep``; below
    ``root`` no link is followed. ``among`` are the names of all companions beside it, if they are known.

    One that it needs and that is missing, like any other trouble with them, is a
    :class:`~deepdream_daemon.intake.companions.BadCompanion`.
    """
    places = companions.locate(source, companions_of(recipe), recipe.name, among)
    return companions.read(places, limit_bytes, keep=keep, root=root)


def companions_of(recipe: ResolvedRecipe) -> dict[str, bool]:
    """Return what ``recipe`` would take from beside a photo, in all segments of its journey, and whether it cannot do
    without it."""
    if recipe.journey is None:
        return recipe.companions()
    wanted: dict[str, bool] = {}
    for still in recipe.journey.stills(recipe):
        for name, is_needed in still.companions().items():
            wanted[name] = is_needed or wanted.get(name, False)
    return wanted


@lru_cache(maxsize=256)
def _plain(book: RecipeBook, name: str) -> ResolvedRecipe:
    """A recipe as it stands in the book, which never changes; most pictures want just that."""
    return book.resolve(name)


def _read_side_file(path: Path, root: Path) -> TomlSource | None:
    """Read a side file as carefully as a picture: it may be anything that a stranger drops."""
    try:
        with beneath.opened(root, path.parent) as at, os.fdopen(beneath.open_regular(path.name, at), "rb") as file:
            raw = file.read(_LONGEST_SIDE_FILE_BYTES + 1)
    except beneath.NotRegular as error:
        raise _bad_side_file(path) from error
    except PermissionError as error:
        raise BadOption(f"{path}: cannot be read. Make it readable, or delete it.") from error
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
            return None
        raise
    if len(raw) > _LONGEST_SIDE_FILE_BYTES:
        raise _bad_side_file(path)
    try:
        return TomlSource.parse(raw.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise BadOption(f"{path}: not UTF-8 text; save the file as UTF-8.") from error


def _bad_side_file(path: Path) -> BadOption:
    return BadOption(f"{path}: a side file is a regular file of at most {_LONGEST_SIDE_FILE_BYTES} bytes.")


def output_directory(folder: FolderSettings, source: Path) -> Path:
    """Return where the dream of ``source`` goes: sub-folders of the input are mirrored."""
    return folder.output / source.relative_to(folder.input).parent


def folder_of(folders: tuple[FolderSettings, ...], path: Path) -> FolderSettings | None:
    """Return the watched folder that ``path`` is in."""
    place = os.fspath(path)  # compared as text: this runs for every hint
    return next((folder for folder in folders if place.startswith(os.path.join(folder.input, ""))), None)  # noqa: PTH118


def derive_seed(sha256: str, recipe: ResolvedRecipe) -> int:
    """Return the recipe's own seed, or one that follows from the content and the recipe; below 2**63."""
    if recipe.seed is not None:
        return recipe.seed
    return int.from_bytes(_digest(sha256, recipe.fingerprint())[:8], "big") >> 1


def job_key(
    sha256: str, source: Path, recipe: ResolvedRecipe, seed: int, used: Mapping[str, Companion] | None = None
) -> str:
    """Return the key of a job: one visible result for each content, place, recipe, engine version, seed and
    content of the companions ``used``.
    """
    beside = [f"{name}={companion.sha256}" for name, companion in sorted((used or {}).items())]
    return _digest(sha256, source, recipe.name, recipe.fingerprint(), __version__, str(seed), *beside).hex()


def failed_key(sha256: str, source: Path, fingerprint: str, error: str) -> str:
    """Return the key of a job that cannot be done: it changes as soon as the picture, its side file or a companion
    does, or what is wrong with it.
    """
    return _digest("failed", sha256, source, fingerprint, error).hex()


def copy_key(source: Path, fingerprint: str) -> str:
    """Return the key of a job that copies a file, which changes as soon as the file does."""
    return _digest("copied", source, fingerprint).hex()


def _digest(*parts: str | Path) -> bytes:
    return hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts)).digest()

"""Pictures that nothing is dreamt for, as their folder wants no second dream: of the same content, or by one name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.twins import twin_of
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.originals import Skipped
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.publishing import preview
from deepdream_daemon.publishing.names import name_taken

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


def check_needed(
    task: Task,
    recipe: ResolvedRecipe,
    data: bytes,
    companions: Mapping[str, Companion],
    journal: Journal,
    *,
    container: str | None = None,
) -> None:
    """Raise :class:`Skipped` if the settings of its folder want no dream of ``data``, or of a clip in ``container``."""
    claim, folder = task.claim, task.folder
    twin = twin_of(journal, folder, claim.source, sha256=claim.sha256, recipe=recipe, seed=task.seed, used=companions)
    if twin is not None:
        raise Skipped(twin)
    if folder.collision == "skip":
        path = task.directory / task.dream_name(
            _film_suffix(recipe, container) if task.is_film else _suffix(task, recipe, data)
        )
        if os.path.lexists(path) and not preview.is_ours(journal, claim.id, path):
            raise Skipped(name_taken(path))


def _film_suffix(recipe: ResolvedRecipe, container: str | None) -> str:
    from deepdream_daemon.films.encoders import SUFFIXES
    from deepdream_daemon.films.frames import FilmFacts
    from deepdream_daemon.films.options import container_for
    from deepdream_daemon.films.scenes import film_options

    facts = FilmFacts(width=2, height=2, container=container)
    return SUFFIXES[container_for(film_options(recipe), facts)]


def _suffix(task: Task, recipe: ResolvedRecipe, data: bytes) -> str:
    """Return the suffix that the dream of a picture will have."""
    from deepdream_engine.pictures import output_format, sniff, suffix_of

    is_as = sniff.picture_format(data)
    if is_as is None and recipe.output.format == "same":
        return task.claim.source.suffix  # it is no picture that is known here; whoever decodes it says more
    return suffix_of(output_format(is_as or "", recipe.output))
